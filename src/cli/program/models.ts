import { type Command, Option } from 'commander'
import { type Context, dir, examples, json, whole } from './options.ts'

const tasks = ['classification', 'detection', 'vector', 'anomaly']
const ranges = ['0..1', '0..255', '-1..1', 'imagenet']

export function addModelCommands(program: Command, { env, end }: Context): void {
  const load = async () => await import('../commands/models.ts')
  const models = program.command('models').description('list the models, or add one')
  examples(models, { models: 'what jobs may name', 'models add my-look.onnx': '' })
  const list = models
    .command('list', { isDefault: true })
    .description('list the models')
    .addOption(dir())
    .addOption(json())
    .action(async (options) => await end((await load()).listModels(options, env)))
  examples(list, { 'models list --json | jq -r .[].name': '' })
  const add = models
    .command('add <model.onnx>')
    .description('look a model over, run it once, and store it for jobs to name')
    .option('--manifest <file>', 'its model.json; by default the one beside it')
    .option('--as <name[@version]>', 'what jobs call it; the file name by default')
    .option('--style <image>', 'for a model with a style input: the style it has when a job names none')
    .addOption(new Option('--range <range>', 'what its numbers mean').choices(ranges))
    .addOption(new Option('--output-range <range>', 'where the output differs').choices(ranges))
    .addOption(
      new Option('--channels <order>', 'RGB, BGR, or Y: brightness alone').choices(['RGB', 'BGR', 'Y']),
    )
    .addOption(new Option('--layout <layout>', 'where the graph does not say').choices(['NCHW', 'NHWC']))
    .addOption(
      new Option('--fit <how>', 'of frames to a model of one size').choices(['stretch', 'letterbox', 'tile']),
    )
    .addOption(
      new Option(
        '--features <count>',
        'of a model of rows: numbers of each, where the graph does not say',
      ).argParser(whole(1, 4_096)),
    )
    .addOption(new Option('--task <what>', 'what a model tells that makes no pictures').choices(tasks))
    .option('--half', 'turn its inside to float16, for GPUs; refused where the pictures would change', false)
    .option('--dry-run', 'print the manifest it would have, store nothing', false)
    .addOption(dir())
    .addOption(json())
    .action(async (path, options) => await end((await load()).addModel(path, options, env)))
  examples(add, {
    'models add my-look.onnx': "reads the graph, asks what it doesn't say, runs it once, stores it",
    'models add udnie.onnx --range 0..255 --channels BGR --fit tile --as udnie@2': '',
    'models add forest.onnx --as churn --task anomaly': 'scores the rows of tables',
    'models add my-look.onnx --dry-run > my-look.json': 'the manifest it would have, to edit',
  })
}
