// What Node is started with when it runs Writ.
export const NODE_FLAGS = [
  // SIGUSR1 would open Node's debugger on loopback, to every user of the machine.
  '--disable-sigusr1',
  // Each thread collects its own garbage, of which little survives; helpers cost more than they save.
  '--single-threaded-gc',
  // Otherwise the compiler decides now and then that what requests allocate lives long, and puts it where only a full
  // collection finds it dead, with all that it refers to. How often differs from start to start.
  '--no-allocation-site-pretenuring',
  // Calling the C library (agent/process/native.ts) is new in Node, which would say so at each start.
  '--disable-warning=ExperimentalWarning',
];

// What `writ agent run` is started with beyond these: whoever calls waits for no large collection. It allocates little, so that
// many small ones cost no more; and what lives long is not gone through again each time it has grown by a few megabytes, which
// stops everything for ten milliseconds and more.
export const AGENT_FLAGS = ['--max-semi-space-size=2', '--initial-old-space-size=64'];

// What a server's C library is told, by its environment (mallopt(3), the tunables of glibc; others ignore it): a request
// takes hundreds of small pieces of memory and gives them back, most of them inside OpenSSL. Each thread keeps enough of
// them at hand, and what has been freed stays with the process instead of going back and forth.
export const SERVER_ENVIRONMENT = {
  GLIBC_TUNABLES: [
    'glibc.malloc.tcache_count=2000',
    'glibc.malloc.mmap_threshold=4194304',
    'glibc.malloc.trim_threshold=268435456',
    'glibc.malloc.top_pad=16777216',
  ].join(':'),
};
