import GatewayCore
import GatewayTranslation

/// What the archive says to a request about a response.
enum ResponseReply: Sendable {
    case body([UInt8])
    case deployment(id: String, account: String)
    case missing
    case storeAway
}

extension ResponseArchive {
    /// - Parameter reader: who asks. `nil`: somebody who sees all.
    func reply(to request: ResponseRequest, reader: String?) async -> ResponseReply {
        switch await self.find(request.id, owner: reader, whole: false) {
        case .storeAway: return .storeAway
        case .missing, .tooLong: return .missing
        case .deployment(let id, let account): return .deployment(id: id, account: account)
        case .turns(let turns):
            guard let turn = turns.last else { return .missing }
            switch request.action {
            case .retrieve: return ResponseTurn.response(of: turn).map { .body($0) } ?? .missing
            case .listInput: return ResponseTurn.inputItems(of: turn, request.page).map { .body($0) } ?? .missing
            case .delete:
                guard let isGone = await self.remove(request.id, owner: reader) else { return .storeAway }
                let body = "{\"id\":\(jsonQuoted(request.id)),\"object\":\"response\",\"deleted\":true}"
                return isGone ? .body(Array(body.utf8)) : .missing
            }
        }
    }
}
