/// Prices by model name, in the text format of docs/prices.md: one model a line, sorted, searched in place.
///
/// Nothing is parsed before it is asked for: opening the shipped catalogue reads its first line, and a lookup is a
/// binary search over the text and the parse of one line (about 15 us), so a caller keeps the price it got.
package struct PriceCatalogue: Sendable {
    /// As its first line says, such as `2026-11-22`.
    package let version: String
    let storage: PriceCatalogueText

    /// The catalogue that is part of the program.
    package static let shipped = PriceCatalogue.open(shippedPriceCatalogueText)

    /// The price of `model` at `provider`, both as LiteLLM names them. `nil`: not known, which is not free.
    ///
    /// Tried in this order: `provider/model`; `model` alone, if the entry is of the same provider family; the same
    /// without the region or version that the name carries.
    package func price(provider: String, model: String) -> ModelPrice? {
        for candidate in PriceNames.candidates(provider: provider, model: model) {
            guard let price = self.entry(named: candidate.name) else { continue }
            if candidate.isQualified || PriceNames.family(of: price.provider) == PriceNames.family(of: provider) {
                return price
            }
        }
        return nil
    }
}
