import { InputError } from '../../shared/errors.ts'
import type { TableSource } from '../../shared/items/request.ts'
import { type ModelManifest, takesFeatures } from '../../shared/models/manifest.ts'

/** Throws InputError `model-mismatch` for a model that can't score the rows of a table. */
export function checkFeatures(model: ModelManifest, { features }: Pick<TableSource, 'features'>): void {
  if (!takesFeatures(model))
    throw new InputError('model-mismatch', `The model ${model.name} takes images, not rows of a table.`)
  const { count } = model.input
  if (count !== features.length)
    throw new InputError(
      'model-mismatch',
      `The model ${model.name} takes ${count} features; the table gives ${features.length} (source.table.features).`,
    )
}
