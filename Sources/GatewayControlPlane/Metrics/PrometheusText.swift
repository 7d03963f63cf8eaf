import GatewayCore

/// Writes Prometheus' text format 0.0.4. Families are written whole, one after the other, as the format asks.
struct PrometheusText: Sendable {
    enum Kind: String, Sendable { case counter, gauge, histogram }
    typealias Labels = [(name: String, value: String)]

    static let contentType = "text/plain; version=0.0.4; charset=utf-8"
    private(set) var text = ""

    /// Starts a family; its samples follow.
    mutating func family(_ name: String, _ kind: Kind, _ help: String) {
        self.text += "# HELP \(name) \(help)\n# TYPE \(name) \(kind.rawValue)\n"
    }

    mutating func sample(_ name: String, _ labels: Labels, _ value: String) {
        self.text += name
        self.write(labels)
        self.text += " \(value)\n"
    }

    mutating func sample(_ name: String, _ labels: Labels, _ value: Int64) { self.sample(name, labels, String(value)) }

    /// A family with one sample and no labels.
    mutating func gauge(_ name: String, _ help: String, _ value: Int64) {
        self.family(name, .gauge, help)
        self.sample(name, [], value)
    }

    /// Buckets are cumulative here; bounds and sum are in seconds.
    mutating func histogram(_ name: String, _ labels: Labels, _ histogram: LatencyHistogram) {
        var count: Int64 = 0
        for (bound, bucket) in zip(LatencyHistogram.boundsMicroseconds, histogram.counts) {
            count += bucket
            self.sample(name + "_bucket", labels + [("le", decimalText(bound, decimals: 6))], count)
        }
        count += histogram.counts[LatencyHistogram.boundsMicroseconds.count]
        self.sample(name + "_bucket", labels + [("le", "+Inf")], count)
        self.sample(name + "_sum", labels, decimalText(histogram.sumMicroseconds, decimals: 6))
        self.sample(name + "_count", labels, count)
    }

    private mutating func write(_ labels: Labels) {
        if labels.isEmpty { return }
        self.text += "{"
        for (index, label) in labels.enumerated() {
            if index > 0 { self.text += "," }
            self.text += "\(label.name)=\"\(Self.escaped(label.value))\""
        }
        self.text += "}"
    }

    private static func escaped(_ value: String) -> String {
        var result = ""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
