import { DEFAULT_GRPC_LIMITS } from '../../grpc/limits.ts';
import { GrpcServer } from '../../grpc/server.ts';
import type { Door } from '../../http/door.ts';
import type { Feed } from '../../status/feed/feed.ts';
import { feedMethods } from '../../status/feed/grpc.ts';
import type { FeedSigner } from '../../status/feed/signer.ts';
import { grpcFailure } from '../../status/grpc-failure.ts';

/** The feed of a request thread as gRPC. */
export function feedGrpc(feed: Feed, signer: FeedSigner): GrpcServer<Door> {
  return new GrpcServer<Door>({
    methods: feedMethods(feed, signer),
    // A relay names all the points behind it in one message.
    limits: { ...DEFAULT_GRPC_LIMITS, message: 256 * 1024 },
    async admit(door) {
      const leave = await door.enter();
      return (ok) => leave(ok ? 200 : 400);
    },
    failure: grpcFailure,
  });
}
