import type { Handle } from '../engine/types.js';
import type { SeriesInput, StateHandles } from '../forecaster/programs.js';
import type { Observation } from './run.js';

/** An item on its way into the network. */
export interface Batched<T> {
  readonly item: T;
  /** No later item of its series was waiting when the batch was made. */
  readonly newest: boolean;
}

/** A frame taken in. With `input`, a forecast is to be made from it; its state is the receiver's to release. */
export interface Encoded extends Omit<Observation, 'forecast'> {
  readonly input?: SeriesInput & { readonly state: StateHandles };
}

/** Where the forecast of a frame lies in a roll-out on the device: frames [B, horizon, H, W, C], this one the k-th. */
export interface RollOut {
  readonly frames: Handle;
  readonly k: number;
}

/** A frame with its roll-out, if one was due; the roll-out is the receiver's to release. */
export interface Predicted extends Omit<Encoded, 'input'> {
  readonly rollOut?: RollOut;
}
