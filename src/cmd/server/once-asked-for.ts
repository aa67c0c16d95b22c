import type { OtherProtocol } from '../../http/door.ts';

/** A protocol that is opened when the first connection asks for it. */
export function onceAskedFor(alpn: string, open: () => Promise<Omit<OtherProtocol, 'alpn'>>): OtherProtocol {
  let opened: ReturnType<typeof open> | undefined;
  let closing = false;
  return {
    alpn,
    accept(socket, door) {
      // Nobody else listens until the server does.
      socket.on('error', () => socket.destroy());
      if (closing && opened === undefined) {
        socket.destroy();
        return;
      }
      opened ??= open();
      opened
        .then((server) => {
          // Whoever has left meanwhile has no connection that could be taken over.
          if (!socket.destroyed) server.accept(socket, door);
        })
        .catch(() => socket.destroy());
    },
    async close(graceMs) {
      closing = true;
      const server = await opened?.catch(() => undefined);
      await server?.close(graceMs);
    },
  };
}
