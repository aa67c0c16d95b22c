// What Node is started with when it runs Writ.
export const NODE_FLAGS = [
  // SIGUSR1 would open Node's debugger on loopback, to every user of the machine.
  '--disable-sigusr1',
  // Each thread collects its own garbage, of which little survives; helpers cost more than they save.
  '--single-threaded-gc',
];
