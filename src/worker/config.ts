import { z } from 'zod'
import { deviceChoices } from '../shared/models/device.ts'
import {
  commonSettings,
  diskSettings,
  mediaSettings,
  redisSettings,
  systemSettings,
  traceSettings,
} from '../shared/config.ts'

export const workerSettings = {
  ...commonSettings,
  ...redisSettings,
  ...mediaSettings,
  ...systemSettings,
  ...diskSettings,
  ...traceSettings,
  FRAMEFLEET_WORKER_PORT: z.coerce
    .number()
    .int()
    .min(0)
    .max(65_535)
    .default(9101)
    .describe("port of the worker's health and metrics pages; 0 for none"),
  FRAMEFLEET_STALL_SECONDS: z.coerce
    .number()
    .min(1)
    .max(3_600)
    .default(60)
    .describe('an ffmpeg that makes no progress for this long is ended, and its batch tried again'),
  FRAMEFLEET_IMDS_URL: z
    .string()
    .default('')
    .refine((url) => url === '' || /^https?:/.test(url), 'must be a URL, such as http://169.254.169.254')
    .describe(
      "Azure's metadata service, where a machine hears of its end: `http://169.254.169.254` on Azure, else nothing",
    ),
  FRAMEFLEET_INSTANCE: z
    .string()
    .regex(/^[\w.-]{0,120}$/, 'may have letters, digits, dots, dashes and underscores, 120 at most')
    .default('')
    .describe(
      'what the fleet calls the machine this worker runs on; nothing takes the name IMDS gives, else the host and the process',
    ),
  FRAMEFLEET_DEVICE: z
    .enum(deviceChoices)
    .default('auto')
    .describe(
      'what models run on: `auto` (a GPU that works, else the processor), `cpu`, `cuda` or `tensorrt`',
    ),
  FRAMEFLEET_DEVICE_ID: z.coerce
    .number()
    .int()
    .min(0)
    .max(63)
    .default(0)
    .describe('which GPU, counted from 0: one worker for each'),
  FRAMEFLEET_INFERENCE_THREADS: z.coerce
    .number()
    .int()
    .min(0)
    .max(256)
    .default(0)
    .describe('threads of ONNX Runtime in each worker; 0 takes one for each core'),
  FRAMEFLEET_ROW_MODELS_MAX_BYTES: z.coerce
    .number()
    .int()
    .positive()
    .default(1e9)
    .describe('models of tables stay loaded in a worker as long as all of them take less memory than this'),
}
