import GatewayCore
import GatewayPricing

/// SplitMix64: small, seeded, the same on every machine.
struct SeededRandom: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { self.state = seed }

    mutating func next() -> UInt64 {
        self.state &+= 0x9E37_79B9_7F4A_7C15
        var z = self.state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

/// A price of the given cells, written as in the catalogue.
func price(_ rates: String..., provider: String = "openai") throws -> ModelPrice {
    let line = (["model", provider, "chat", "-", "-"] + rates).joined(separator: "\t")
    let catalogue = try PriceCatalogue.parse(text: "#martlet-prices 1 test\n\(line)\n")
    guard let price = catalogue.entry(named: "model") else { throw MissingPrice(name: "model") }
    return price
}

func shipped(_ name: String) throws -> ModelPrice {
    guard let price = PriceCatalogue.shipped.entry(named: name) else { throw MissingPrice(name: name) }
    return price
}

struct MissingPrice: Error {
    let name: String
}

func usage(_ input: Int64, _ output: Int64, _ details: (inout TokenUsage) -> Void = { _ in }) -> TokenUsage {
    var usage = TokenUsage(input: input, output: output)
    details(&usage)
    return usage
}

extension ModelPrice {
    func nanos(_ usage: TokenUsage, _ tier: ServiceTier = .standard) -> Int64 {
        self.cost(of: usage, tier: tier).rawValue
    }
}
