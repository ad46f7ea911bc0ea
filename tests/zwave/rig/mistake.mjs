/** A control call that makes no sense: the reason goes to the caller. */
export class Mistake extends Error {}
