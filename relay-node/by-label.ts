/**
 * The series of a metric with one label, by its value: each is looked up in prom-client once, which makes a text of its labels every time.
 * The values are codes and words of the relay's own.
 */
export function byLabel<Series>(metric: { labels(value: string): Series }): (value: string) => Series {
  const known = new Map<string, Series>();
  return (value) => {
    let series = known.get(value);
    if (series === undefined) known.set(value, (series = metric.labels(value)));
    return series;
  };
}
