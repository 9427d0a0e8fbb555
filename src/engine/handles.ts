import { EngineError } from '../pipeline/errors.js';
import { count } from './graph.js';
import type { Handle, HostTensor, Named, Spec } from './types.js';

/** A handle that knows whose it is. */
export interface OwnedHandle<T> extends Handle {
  readonly owner: object;
  /** @throws EngineError after the last release */
  readonly value: T;
}

/** Makes counted handles on values of type T, freed by `free` with the last owner. */
export const handleFactory = <T>(free: (value: T) => void) => {
  const owner = {};
  let live = 0;
  const make = (value: T, { shape, dtype }: Spec): OwnedHandle<T> => {
    let owners = 1;
    live++;
    const handle: OwnedHandle<T> = {
      owner,
      shape,
      dtype,
      get value() {
        if (owners <= 0) throw new EngineError('a tensor was used after its last release');
        return value;
      },
      retain: () => {
        if (owners <= 0) throw new EngineError('a tensor was retained after its last release');
        owners++;
        return handle;
      },
      release: () => {
        if (owners <= 0) throw new EngineError('a tensor was released more often than retained');
        if (--owners > 0) return;
        live--;
        free(value);
      },
    };
    return handle;
  };
  const valueOf = (handle: Handle): T => {
    if (!('owner' in handle) || handle.owner !== owner)
      throw new EngineError('a tensor of another engine was passed in');
    return (handle as OwnedHandle<T>).value;
  };
  return { make, valueOf, live: () => live };
};

export const isHandle = (input: Handle | HostTensor): input is Handle => 'release' in input;

/** Every input a program wants is there, with the right shape and type. @throws EngineError saying which is not */
export const checkInputs = (specs: Named<Spec>, inputs: Named<Handle | HostTensor>): void => {
  for (const [name, spec] of Object.entries(specs)) {
    const input = inputs[name];
    if (input === undefined) throw new EngineError(`input "${name}" is missing`);
    const fits =
      input.dtype === spec.dtype &&
      input.shape.length === spec.shape.length &&
      input.shape.every((d, i) => d === spec.shape[i]);
    if (fits && 'data' in input && input.data.length !== count(spec.shape)) {
      throw new EngineError(
        `input "${name}" has ${input.data.length} values, but ${input.dtype}[${input.shape.join(', ')}] takes ${count(spec.shape)}`,
      );
    }
    if (!fits) {
      throw new EngineError(
        `input "${name}" is ${input.dtype}[${input.shape.join(', ')}], but the program was compiled for ${spec.dtype}[${spec.shape.join(', ')}]`,
      );
    }
  }
};
