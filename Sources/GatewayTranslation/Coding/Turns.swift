import GatewayWire

/// A conversation as formats want it that know two speakers who alternate.
struct Turns {
    struct Turn {
        let isAssistant: Bool
        var parts: [Part]
    }

    /// What the leading system messages say, in order.
    var system: [Part] = []
    var turns: [Turn] = []

    /// Neighbours are merged; results of tools come first in their turn; a system message within the conversation
    /// becomes the user's text; empty texts are left out.
    init(_ request: ConversationRequest) {
        var isLeading = true
        for message in request.messages {
            let parts = message.parts.filter { !Self.isEmptyText($0) }
            switch message.role {
            case .system, .developer:
                if isLeading {
                    self.system += parts
                } else {
                    self.add(parts, isAssistant: false)
                }
            case .user, .tool:
                isLeading = false
                self.add(parts, isAssistant: false)
            case .assistant:
                isLeading = false
                self.add(parts, isAssistant: true)
            }
        }
        for index in self.turns.indices where !self.turns[index].isAssistant {
            let parts = self.turns[index].parts
            self.turns[index].parts = parts.filter(Self.isResult) + parts.filter { !Self.isResult($0) }
        }
    }

    /// Messages of the assistant that follow one another as one: formats with calls in the message want them there.
    static func merged(_ messages: [Message]) -> [Message] {
        var result: [Message] = []
        for message in messages {
            if message.role == .assistant, let last = result.indices.last, result[last].role == .assistant {
                result[last].parts += message.parts
                result[last].isStringContent = false
            } else {
                result.append(message)
            }
        }
        return result
    }

    private mutating func add(_ parts: [Part], isAssistant: Bool) {
        guard !parts.isEmpty else { return }
        if let last = self.turns.indices.last, self.turns[last].isAssistant == isAssistant {
            self.turns[last].parts += parts
        } else {
            self.turns.append(Turn(isAssistant: isAssistant, parts: parts))
        }
    }

    private static func isEmptyText(_ part: Part) -> Bool {
        if case .text(let text) = part { return text.text.isEmpty }
        return false
    }

    private static func isResult(_ part: Part) -> Bool {
        if case .toolResult = part { return true }
        return false
    }
}
