/** Where things lie in Blob storage. Every name depends on ids alone, so that doing a thing twice writes one blob. */
export const layout = {
  /** An empty blob for each job that has not ended, so that they can be found without Redis. */
  openMarks: 'open/',
  openMark: (id: string) => `open/${id}`,
  jobs: 'jobs/',
  job: (id: string) => `jobs/${id}/`,
  spec: (id: string) => `jobs/${id}/job.json`,
  /** SAS queries of the source and the output: needed by the workers, shown to nobody, deleted when the job ends. */
  secret: (id: string) => `jobs/${id}/secret.json`,
  /** The style image as the model takes it. */
  style: (id: string) => `jobs/${id}/style.png`,
  plan: (id: string) => `jobs/${id}/plan.json`,
  segments: (id: string) => `jobs/${id}/segments/`,
  segment: (id: string, batch: number) => `jobs/${id}/segments/${String(batch).padStart(6, '0')}.mp4`,
  report: (id: string) => `jobs/${id}/report.json`,
  preview: (id: string) => `jobs/${id}/preview.jpg`,
  output: (id: string, container: string) => `jobs/${id}/output.${container}`,
  model: (name: string, version: string) => `models/${name}/${version}/model.onnx`,
  modelStyle: (name: string, version: string) => `models/${name}/${version}/style.png`,
  manifest: (name: string, version: string) => `models/${name}/${version}/model.json`,
  /** In the system container: what people set of the fleet. */
  fleetSettings: 'fleet/settings.json',
  upload: (name: string) => `in/${name}`,
}
