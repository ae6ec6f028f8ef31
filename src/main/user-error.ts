/** An error that the person can put right by giving something else (a name, a file, a value): the command line ends with 2, not 1. */
export class UserError extends Error {}
