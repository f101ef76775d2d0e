import type { z } from 'zod'

/** The lines of a file of ours. Throws where one is not as it was written. */
export function parseLines<Schema extends z.ZodType>(bytes: Buffer, schema: Schema): z.infer<Schema>[] {
  return bytes
    .toString('utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => schema.parse(JSON.parse(line)))
}
