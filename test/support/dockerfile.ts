import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Copy, type Env, type From, type Instruction, DockerfileParser } from 'dockerfile-ast'

export const root = join(import.meta.dirname, '../..')
export const dockerfile = readFileSync(join(root, 'Dockerfile'), 'utf8')

export type Stage = {
  name: string
  /** Another stage, or an image as it stands there. */
  from: string
  instructions: Instruction[]
}

/** The stages of the Dockerfile, in order; what stands before the first is not among them. */
export function readStages(text = dockerfile): Stage[] {
  const stages: Stage[] = []
  for (const instruction of DockerfileParser.parse(text).getInstructions()) {
    if (instruction.getKeyword() === 'FROM') {
      const from = instruction as From
      stages.push({ name: from.getBuildStage() ?? '', from: from.getImage() ?? '', instructions: [] })
    } else stages.at(-1)?.instructions.push(instruction)
  }
  return stages
}

/** The stage and those it is made from, the first one first: what holds for an image is in one of them. Throws for none of that name. */
export function lineage(name: string, stages = readStages()): Stage[] {
  const stage = stages.find((each) => each.name === name)
  if (!stage) throw new Error(`the Dockerfile has no stage ${name}`)
  const isStage = stages.some((each) => each.name === stage.from)
  return [...(isStage ? lineage(stage.from, stages) : []), stage]
}

/** Every instruction of an image with that keyword, the first one first. */
export function instructionsOf(image: string, keyword: string): Instruction[] {
  return lineage(image)
    .flatMap(({ instructions }) => instructions)
    .filter((each) => each.getKeyword() === keyword)
}

/** What the last instruction of that keyword says; of CMD and ENTRYPOINT the words. */
export function lastOf(image: string, keyword: string): string {
  return instructionsOf(image, keyword).at(-1)?.getArgumentsContent() ?? ''
}

/** The environment that an image brings along. */
export function imageEnv(image: string): NodeJS.ProcessEnv {
  const properties = instructionsOf(image, 'ENV').flatMap((each) => (each as Env).getProperties())
  return Object.fromEntries(properties.map((each) => [each.getName(), each.getValue() ?? '']))
}

export type CopyStep = { from: string | undefined; sources: string[]; to: string }

export function copyStep(instruction: Instruction): CopyStep {
  const words = instruction.getArguments().map((each) => each.getValue())
  const paths = words.filter((word) => !word.startsWith('--'))
  const from = (instruction as Copy).getFromFlag()?.getValue() ?? undefined
  return { from, sources: paths.slice(0, -1), to: paths.at(-1) ?? '' }
}
