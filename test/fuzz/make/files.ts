/** The files of one target's folder, by name. */
export type Files = Readonly<Record<string, Uint8Array | string>>;
