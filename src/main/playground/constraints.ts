/** What answers must be, tried before anything is asked: an engine compiles it for a model and says where it cannot be enforced. */
import type { Constraint, ConstraintProblem } from '../../shared/constraint.ts';
import type { ConstraintResult } from '../../shared/job-results.ts';
import { askEngine } from '../engine.ts';
import type { Library } from '../library.ts';
import { resolveModel } from '../models/index.ts';

export async function checkConstraint({ library }: { library: Library }, { model, constraint }: { model: string; constraint: Constraint }): Promise<ConstraintProblem | null> {
  const { problem } = await askEngine<ConstraintResult>({ type: 'constraint', model: resolveModel(library, model).path, constraint });
  return problem;
}
