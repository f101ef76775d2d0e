import prices from './prices.json' with { type: 'json' }

export type Price = { size: string; gpu: string; onDemand: number; spot: number }

/** The price of an hour of the size that results are in. Throws where the file names one that it has not. */
export function chosenPrice(): Price & { date: string; currency: string } {
  const size = prices.sizes.find(({ name }) => name === prices.chosen)
  if (!size) throw new Error(`prices.json has no size ${prices.chosen}`)
  const { name, gpu, onDemand, spot } = size
  return { size: name, gpu, onDemand, spot, date: prices.date, currency: prices.currency }
}
