import GatewayCore
import GatewayTranslation
import GatewayWire

/// A request about a response that was made before: `GET` and `DELETE /v1/responses/ID`, and `GET` of its input items.
final class ResponseRequest: Sendable {
    enum Action: Sendable, Equatable { case retrieve, delete, listInput }

    let action: Action
    /// As the caller names it, decoded.
    let id: String
    let page: ResponseTurn.Page
    /// What of the query goes to a provider that keeps the response. Empty: nothing.
    let query: String

    /// - Parameters:
    ///   - id: as it stands in the path, still percent-encoded.
    ///   - query: behind the question mark.
    /// - Throws: the path or query cannot be read.
    init(action: Action, id: UnsafeRawBufferPointer, query: UnsafeRawBufferPointer) throws(GatewayError) {
        guard let decoded = percentDecoded(id) else { throw .badPath }
        self.action = action
        self.id = decoded
        var page = ResponseTurn.Page()
        var kept: [String] = []
        for field in query.split(separator: UInt8(ascii: "&")).prefix(Self.fieldsMax) {
            let text = String(decoding: field, as: UTF8.self)
            let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { continue }
            switch parts[0] {
            case "after":
                page.after = field.split(separator: UInt8(ascii: "="), maxSplits: 1).last
                    .flatMap { percentDecoded(UnsafeRawBufferPointer(rebasing: $0)) }
            case "limit":
                guard let limit = Int(parts[1]), (1...100).contains(limit) else {
                    throw .invalid("The limit is no whole number from 1 to 100: send one.", param: "limit")
                }
                page.limit = limit
            case "order":
                guard parts[1] == "asc" || parts[1] == "desc" else {
                    throw .invalid("The order is neither asc nor desc: send one of them.", param: "order")
                }
                page.isAscending = parts[1] == "asc"
            case "include", "include[]", "include%5B%5D": break
            default: continue
            }
            if text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) { kept.append(text) }
        }
        self.page = page
        self.query = kept.joined(separator: "&")
    }

    private static let fieldsMax = 32

    var method: String { self.action == .delete ? "DELETE" : "GET" }

    /// The head for the provider that keeps the response, up to and with `content-length: `.
    func head(for deployment: Deployment) -> [UInt8] {
        let collection = deployment.provider.path(
            for: .openAIResponses, model: deployment.configuration.model, isStream: false)
        let parts = collection.split(separator: "?", maxSplits: 1).map(String.init)
        var path = "\(parts[0])/\(Self.encoded(self.id))"
        if self.action == .listInput { path += "/input_items" }
        let query = (parts.dropFirst() + (self.query.isEmpty ? [] : [self.query])).joined(separator: "&")
        if !query.isEmpty { path += "?" + query }
        return Deployment.headStart(method: self.method, path: path, contentType: nil, deployment.configuration)
            + deployment.bearerLine + Array("content-length: ".utf8)
    }

    /// As one segment of a path (RFC 3986, section 3.3), so that no identifier leads elsewhere.
    private static func encoded(_ id: String) -> String {
        id.utf8.map { byte -> String in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"):
                String(UnicodeScalar(byte))
            default: "%" + String(byte >> 4, radix: 16, uppercase: true) + String(byte & 15, radix: 16, uppercase: true)
            }
        }.joined()
    }
}
