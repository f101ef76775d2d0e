import { z } from 'zod'
import {
  commonSettings,
  fairSettings,
  fleetSettings,
  redisSettings,
  systemSettings,
} from '../shared/config.ts'

const seconds = (least: number, most: number) => z.coerce.number().min(least).max(most)

const secureOrLoopback = /^https:|^http:\/\/(?:localhost|127\.0\.0\.1|\[::1\])(?:[:/]|$)/

export const autoscalerSettings = {
  ...commonSettings,
  ...redisSettings,
  ...systemSettings,
  ...fleetSettings,
  ...fairSettings,
  FRAMEFLEET_FLEET: z
    .enum(['local', 'vmss'])
    .default('local')
    .describe('what workers run on: processes of this machine, or a VM scale set of Azure'),
  FRAMEFLEET_LOCAL_DIR: z
    .string()
    .default('')
    .describe('local: notes of the workers and their logs, shared by all autoscalers of one system'),
  FRAMEFLEET_VMSS_ID: z
    .string()
    .default('')
    .describe(
      'vmss: the scale set, `/subscriptions/…/resourceGroups/…/providers/Microsoft.Compute/virtualMachineScaleSets/NAME`',
    ),
  FRAMEFLEET_ARM_URL: z
    .url({ protocol: /^https?$/ })
    .regex(secureOrLoopback, 'must be HTTPS')
    .default('https://management.azure.com')
    .describe('vmss: Azure Resource Manager; another one in other clouds'),
  FRAMEFLEET_WORKERS_PER_INSTANCE: z.coerce
    .number()
    .int()
    .min(1)
    .max(64)
    .default(1)
    .describe('vmss: workers on each instance, one for each GPU'),
  FRAMEFLEET_BACKLOG_SECONDS: seconds(1, 86_400)
    .default(2_400)
    .describe('all that is in line is to be done within this: less asks for more instances'),
  FRAMEFLEET_START_SECONDS: seconds(0.1, 3_600)
    .default(150)
    .describe('from asking for an instance until its worker takes work, until that was measured'),
  FRAMEFLEET_TICK_SECONDS: seconds(0.2, 20).default(5).describe('how often the autoscaler decides'),
  FRAMEFLEET_HAND_SIZE_MINUTES: z.coerce
    .number()
    .min(0)
    .max(10_080)
    .default(60)
    .describe('a size that was set at the scale set itself is kept for this long'),
  FRAMEFLEET_AUTOSCALER_PORT: z.coerce
    .number()
    .int()
    .min(0)
    .max(65_535)
    .default(9103)
    .describe("port of the autoscaler's health and metrics pages; 0 for none"),
}
