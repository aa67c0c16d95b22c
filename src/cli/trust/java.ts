import { isThat, type Machine, type Place } from './place.ts';

/** What every Java comes with. Who can write to the file needs no other. */
export const PASSWORD = 'changeit';

/** The key stores of the Java installations, by their own tool. */
export async function javaPlaces({ keyStores, run }: Machine): Promise<Place[]> {
  return (await keyStores()).map((file): Place => {
    const keytool = (args: readonly string[], input?: string): Promise<string> =>
      run('keytool', [...args, '-keystore', file, '-storepass', PASSWORD], input);
    return {
      store: 'java',
      where: file,
      async has(root) {
        const pem = await keytool(['-exportcert', '-rfc', '-alias', root.name]).catch((error: unknown) => {
          // It fails with 1 where there is no such alias, and otherwise where it is not there at all.
          if ((error as { readonly code?: unknown }).code === 1) return '';
          throw error;
        });
        return isThat(pem, root);
      },
      put: (root) =>
        keytool(['-importcert', '-noprompt', '-trustcacerts', '-alias', root.name], root.pem).then(() => {}),
      take: (root) => keytool(['-delete', '-alias', root.name]).then(() => {}),
    };
  });
}
