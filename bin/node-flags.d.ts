export declare const AGENT_FLAGS: readonly string[];
export declare const NODE_FLAGS: readonly string[];
export declare const SERVER_ENVIRONMENT: Readonly<Record<string, string>>;
