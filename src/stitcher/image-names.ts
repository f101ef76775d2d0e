import { extname } from 'node:path'
import { z } from 'zod'
import { isOwnName } from '../shared/blob-name.ts'
import { InputError } from '../shared/errors.ts'
import { type PartLine, namesImage } from '../shared/items/item.ts'
import { groupOf, isItemsPlan, nameInResult } from '../shared/items/items-plan.ts'
import { type ImageFormat, extensionsOf, imageFormats } from '../shared/items/request.ts'
import { createSeenKeys } from '../shared/items/seen-keys.ts'
import type { JobPlan, JobSpec } from '../shared/job.ts'
import { layout } from '../shared/layout.ts'

const Made = z.object({ made: z.string(), format: z.enum(imageFormats) })
const longestName = 1_024

export type NamedImage = {
  /** The blob that a worker made. */
  made: string
  format: ImageFormat
  /** The blob that it becomes. */
  name: string
  /** Why it can't be that. */
  wrong?: { code: string; message: string }
}

type Scored = Extract<PartLine, { value: object }>

/**
 * What the images of a job are called where the job wants them: as their items, and where one is of another format, that is put
 * behind. Where several models make one of each item, each has a folder, by the plan. Asked of all of them in order: of two that
 * would have one name the first has it. A part is a worker's word: throws InputError `bad-part` where it would lead out of its
 * batch, or out of the output's folder.
 */
export function imageNames(spec: JobSpec, plan: JobPlan, prefix: string) {
  const seen = createSeenKeys()
  const isOwnFolder = prefix === layout.images(spec.id)

  function folderOf(batch: number): string {
    if ((spec.models?.length ?? 0) < 2 || !isItemsPlan(plan)) return prefix
    return `${prefix}${nameInResult(spec, groupOf(spec, plan, batch).model)}/`
  }

  return ({ key, value }: Scored, batch: number): NamedImage => {
    const said = Made.safeParse(value)
    if (!said.success || !namesImage(key) || !isMadeIn(spec.id, batch, said.data.made))
      throw new InputError('bad-part', `Part ${batch} of job ${spec.id} names what is not its own.`)
    const { made, format } = said.data
    const name = `${folderOf(batch)}${nameOf(key, format)}`
    if (!isOwnFolder && isOwnName(name, 'write'))
      throw new InputError('reserved-name', `${name} belongs to framefleet itself.`)
    return { made, format, name, wrong: wrongWith(name) }
  }

  function wrongWith(name: string): NamedImage['wrong'] {
    const shown = name.slice(prefix.length)
    if (name.length > longestName)
      return {
        code: 'long-name',
        message: `Its image would be called ${shown}, which with ${prefix} before it is more than the ${longestName} characters that a blob's name has.`,
      }
    if (seen.add(name)) return undefined
    const message = `Its image would be called ${shown}, as that of another item is.`
    return { code: 'same-name', message }
  }
}

function isMadeIn(id: string, batch: number, made: string): boolean {
  const [, place, extension = ''] = /(\d+)\.(\w+)$/.exec(made) ?? []
  return made === layout.madeImage(id, batch, Number(place), extension)
}

function nameOf(key: string, format: ImageFormat): string {
  const ending = extname(key).slice(1).toLowerCase()
  const [first] = extensionsOf[format]
  return extensionsOf[format].includes(ending) ? key : `${key}.${first}`
}
