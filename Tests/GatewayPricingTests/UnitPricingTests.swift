import GatewayCore
import GatewayPricing
import TestSupport
import Testing

@Suite("A price per unit", .ownThread)
struct UnitPricingTests {
    private func units(_ change: (inout UnitUsage) -> Void) -> UnitUsage {
        var usage = UnitUsage()
        change(&usage)
        return usage
    }

    @Test("charges speech by the character, audio by the second and rerank by the search")
    func workedChecks() throws {
        func cost(_ model: String, _ change: (inout UnitUsage) -> Void) throws -> Int64? {
            try #require(UnitPricing(try shipped(model))).cost(of: self.units(change))?.rawValue
        }
        #expect(try cost("tts-1") { $0.characters = 1000 } == 15_000_000)
        #expect(try cost("whisper-1") { $0.microseconds = 60_000_000 } == 6_000_000)
        // Half up: 5 us at 0.0001 USD a second are half a nano-dollar.
        #expect(try cost("whisper-1") { $0.microseconds = 5 } == 1)
        #expect(try cost("whisper-1") { $0.microseconds = 4 } == 0)
        #expect(try cost("rerank-v3.5") { $0.searches = 2 } == 4_000_000)
        #expect(try cost("low/1024-x-1024/gpt-image-1") { $0.images = 3 } == 33_000_000)
    }

    @Test("charges the same thing once: images before pixels, characters before seconds")
    func once() throws {
        let units = try #require(
            UnitPricing(try price("per_input_image=7000000", "per_output_image=9000000", "per_input_pixel=1000000")))
        #expect(units.cost(of: self.units { ($0.images, $0.pixels) = (2, 1000) })?.rawValue == 18_000)
        let pixels = try #require(UnitPricing(try price("per_input_pixel=1000000")))
        #expect(pixels.cost(of: self.units { ($0.images, $0.pixels) = (2, 1000) })?.rawValue == 1_000_000)
    }

    @Test("is no price for what it does not name")
    func unpriced() throws {
        let units = try #require(UnitPricing(try price("per_query=1000")))
        #expect(units.cost(of: self.units { $0.images = 1 }) == nil)
        #expect(UnitPricing(try price("input=1000")) == nil)
    }

    @Test("never passes the bound of one call, whatever is reported")
    func bound() throws {
        let units = try #require(UnitPricing(try price("per_output_image=\(Rate.picodollarsMax)")))
        #expect(units.cost(of: self.units { $0.images = .max }) == ModelPrice.costMax)
        #expect(units.cost(of: self.units { $0.images = -1 }) == nil)
    }
}
