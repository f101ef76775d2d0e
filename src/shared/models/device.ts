/** What a model may run on. `auto`: the GPU if there is one that works, else the processor. */
export const deviceChoices = ['auto', 'cpu', 'cuda', 'tensorrt'] as const
type DeviceChoice = (typeof deviceChoices)[number]
export type Device = Exclude<DeviceChoice, 'auto'>

export type DeviceWish = {
  device: DeviceChoice
  /** Which GPU, counted from 0. */
  deviceId: number
  /** Threads of the runtime, on the processor. */
  threads: number
}
