import { z } from 'zod'
import {
  commonSettings,
  diskSettings,
  mediaSettings,
  privateSettings,
  redisSettings,
  systemSettings,
  traceSettings,
} from '../shared/config.ts'

export const stitcherSettings = {
  ...commonSettings,
  ...redisSettings,
  ...mediaSettings,
  ...privateSettings,
  ...systemSettings,
  ...diskSettings,
  ...traceSettings,
  FRAMEFLEET_STITCHER_PORT: z.coerce
    .number()
    .int()
    .min(0)
    .max(65_535)
    .default(9102)
    .describe("port of the stitcher's health and metrics pages; 0 for none"),
  FRAMEFLEET_STITCH_CONCURRENCY: z.coerce
    .number()
    .int()
    .min(1)
    .max(16)
    .default(2)
    .describe('videos stitched at once'),
}
