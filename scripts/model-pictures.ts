// Draws the small pictures by which people choose a model: models/<name>/<version>/picture.jpg, for every model that comes with
// framefleet. To be run again when one of them changes.
import { mkdir, writeFile } from 'node:fs/promises'
import { drawPicture } from '../src/shared/models/picture.ts'
import { shippedModels } from '../src/shared/models/shipped.ts'

for (const { manifest, bytes } of await shippedModels()) {
  const folder = new URL(`../models/${manifest.name}/${manifest.version}/`, import.meta.url)
  await mkdir(folder, { recursive: true })
  const picture = await drawPicture(bytes, manifest)
  await writeFile(new URL('picture.jpg', folder), picture)
  console.log(`${manifest.name}@${manifest.version}  ${picture.length} bytes`)
}
