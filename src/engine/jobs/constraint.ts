/** The `constraint` job: whether what an answer must be can be enforced, and where it cannot. Nothing is sampled. */
import type { ConstraintJob } from '../../shared/job.ts';
import type { ConstraintResult } from '../../shared/job-results.ts';
import { compileConstraint } from '../sampling/constraint/compile.ts';
import { ConstraintError } from '../sampling/constraint/constraint.ts';
import { loadTokenizer } from '../tokenizer/tokenizer.ts';

export async function checkConstraint({ model, constraint }: ConstraintJob): Promise<ConstraintResult> {
  try {
    const { fewestTokens } = compileConstraint(constraint, await loadTokenizer(model.folder));
    return { problem: null, fewestTokens };
  } catch (error) {
    if (!(error instanceof ConstraintError)) throw error;
    const { message, pointer, line } = error;
    return { problem: { message, pointer, line }, fewestTokens: 0 };
  }
}
