/**
 * NVIDIA's cuBLASLt, where its library is found: the products of `cuda-bf16` that it can have, of matrices rounded to bf16 first, sums in f32. Not loaded for
 * `cuda`, whose f32 products it has no like of. What goes another way always does, whatever the run: few rows, experts (whose rows only the GPU knows),
 * weights in blocks for less than 512 rows, and rows that are no whole 16 bytes take the device's own kernels (products.ts). Only a shape that the library
 * knows no algorithm for is not known beforehand: the device's description counts those.
 */
import { join } from 'node:path';
import { isBlockStorage } from '../../formats/weight-blocks.ts';
import type { CublasLtLibrary, Gpu } from './driver.ts';
import type { Matrix } from './products.ts';

const NAMES = process.platform === 'win32' ? ['cublasLt64_13.dll', 'cublasLt64_12.dll'] : ['libcublasLt.so.13', 'libcublasLt.so.12'];
/** What rows and addresses are a multiple of, bytes. */
const ALIGNED = 16;
/** Rows from which a weight in blocks is decoded for the library: writing and reading it once more then takes less than its products save, by the speeds of memory and tensor cores. */
const DECODED_FROM = 512;

/** f32 where it says so, else rounded to bf16 for the product. Rows as they lie: a (M,K), or (K,M) of weights' gradient; b (N,K) forward, else (K,N). */
export type LtProduct = {
  kind: 'forward' | 'input' | 'weight';
  out: number; a: number; b: Matrix; bias: number | null;
  M: number; N: number; K: number; alpha: number; beta: number;
};

export interface CublasLt {
  /** Whose products these are, for the device's description. */
  describe(): string;
  /** Whether it takes this one; if not, nothing was done. */
  multiply?(product: LtProduct): boolean;
}

/** `asked`: the library's path, `none` for own kernels, or empty: wherever it is found. */
export function openCublasLt(gpu: Gpu, asked: string): CublasLt {
  if (asked === 'none') return { describe: () => 'own kernels' };
  const problems: string[] = [];
  for (const path of asked ? [asked] : places()) {
    try {
      const library = gpu.openCublasLt(path);
      if (library) return use(gpu, library);
      if (asked) problems.push(`${path} is not found`);
    } catch (error) {
      problems.push(`${path}: ${(error as Error).message}`);
    }
  }
  const why = problems.length > 0 ? problems.join('; ') : 'cuBLASLt is not found';
  return { describe: () => `own kernels (${why})` };
}

/** The loader's own places first (LD_LIBRARY_PATH, the system's), then a CUDA toolkit's. */
function places(): string[] {
  const { CUDA_HOME, CUDA_PATH } = process.env;
  const toolkits = [CUDA_HOME, CUDA_PATH, '/usr/local/cuda'].filter((folder) => folder !== undefined && folder !== '') as string[];
  const folders = toolkits.map((folder) => join(folder, process.platform === 'win32' ? 'bin' : 'lib64'));
  return NAMES.flatMap((name) => [name, ...new Set(folders.map((folder) => join(folder, name)))]);
}

function use(gpu: Gpu, library: CublasLtLibrary): CublasLt {
  const refused = new Set<string>();
  const whole = (address: number, row: number, bytes: number): boolean => address % ALIGNED === 0 && (row * bytes) % ALIGNED === 0;

  /** n numbers as bf16 while `then` runs. */
  function rounded({ address, storage }: Matrix, n: number, then: (address: number) => void): void {
    if (storage === 'bf16') return then(address);
    gpu.scratch(2 * n, (to) => {
      if (storage === 'f32') gpu.each('narrow_all', n, [to, address, n]);
      else gpu.launch(`decode_${storage}`, [Math.ceil(n / 1024)], 256, [to, address, n]);
      then(to);
    });
  }

  return {
    describe: () => `cuBLASLt ${library.version}${refused.size > 0 ? ` (own kernels for ${refused.size} shapes it has no algorithm for)` : ''}`,
    multiply({ kind, out, a, b, bias, M, N, K, alpha, beta }) {
      const [rowA, rowB] = [kind === 'weight' ? M : K, kind === 'forward' ? K : N];
      const shape = `${kind} ${M} ${N} ${K} ${bias !== null}`;
      const fits = whole(out, N, 4) && whole(0, rowA, 2) && whole(b.storage === 'bf16' ? b.address : 0, rowB, 2) && whole(bias ?? 0, 0, 4);
      if (!fits || refused.has(shape) || (isBlockStorage(b.storage) && M < DECODED_FROM)) return false;
      let done = false;
      // rows there are columns here: the library's first matrix is our second
      rounded({ address: a, storage: 'f32' }, M * K, (left) =>
        rounded(b, N * K, (right) => {
          done = library.multiply(kind === 'forward', kind === 'weight', N, M, K, right, left, bias ?? 0, out, alpha, beta);
        }));
      if (!done) refused.add(shape);
      return done;
    },
  };
}
