/** What became of one of tfjs-core's own tests. */
export interface Outcome {
  /** The operation, or the family of them, that its file describes. */
  readonly suite: string;
  readonly test: string;
  /** Message of the first failure; none when it passed. */
  readonly error?: string;
  /** Programs that it compiled and ran: 0 for a test of arguments that are refused. */
  readonly programs: number;
}
