/** A small curve without axes: how something went in the last hour. */
export function Sparkline({ values, label }: { values: readonly number[]; label: string }) {
  const most = Math.max(1, ...values)
  const [width, height] = [96, 28]
  const points = values.map(
    (value, index) =>
      `${((index / Math.max(1, values.length - 1)) * width).toFixed(1)},${(height - 3 - (value / most) * (height - 6)).toFixed(1)}`,
  )
  return (
    <svg className="spark" width={width} height={height} viewBox={`0 0 ${width} ${height}`} role="img">
      <title>{`${label}: now ${values.at(-1) ?? 0}, at most ${Math.max(0, ...values)}`}</title>
      <polyline points={points.join(' ')} />
    </svg>
  )
}
