/**
 * What an export says of itself beside its weights: who made it and of what, under which licence. GGUF's general.* keys and the front matter of the
 * model card are both written from one of these. Names, sizes and tags that follow from the model itself are not here.
 */
import { z } from 'zod';

const line = z.string();
/** Another model, or a dataset. */
export const Reference = z.strictObject({
  name: line.optional(), author: line.optional(), version: line.optional(), organization: line.optional(), description: line.optional(),
  url: line.optional(), doi: line.optional(), uuid: line.optional(), repoUrl: line.optional(),
});
export type Reference = z.infer<typeof Reference>;

const given = (help: string) => z.string().trim().min(1).max(2000).optional().describe(help);
const list = (help: string) => z.array(z.string().trim().min(1).max(100)).max(100).optional().describe(help);

/** What a person may say; it goes before what the base says of itself. */
export const GivenAbout = z.strictObject({
  author: given('who made it'),
  organization: given('for whom'),
  version: given('its version, v1.0 otherwise'),
  description: given('what it is, in a sentence or two'),
  license: given("its licence, by Hugging Face's name (apache-2.0, mit, other); the base's otherwise"),
  licenseName: given('what a licence is called that has no such name'),
  licenseLink: given('where its text is'),
  url: given('its page'),
  repoUrl: given('where its files are'),
  quantizedBy: given('who made the quantised files'),
  languages: list('languages it was trained for: en,ko'),
  tags: list('further tags'),
});
export type GivenAbout = z.infer<typeof GivenAbout>;

export const About = z.strictObject({
  author: line.optional(), organization: line.optional(), version: line.optional(), description: line.optional(),
  license: line.optional(), licenseName: line.optional(), licenseLink: line.optional(), url: line.optional(), doi: line.optional(), uuid: line.optional(),
  repoUrl: line.optional(), quantizedBy: line.optional(), sourceUrl: line.optional(), sourceDoi: line.optional(), sourceUuid: line.optional(), sourceRepoUrl: line.optional(),
  languages: z.array(line).optional(), tags: z.array(line).optional(), baseModels: z.array(Reference).optional(), datasets: z.array(Reference).optional(),
});
export type About = z.infer<typeof About>;
