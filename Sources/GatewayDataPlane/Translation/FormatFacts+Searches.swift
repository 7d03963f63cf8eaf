import GatewayCore
import GatewayWire

extension FormatFacts {
    /// Searches of the web that a provider may make for a call. `nil`: it may, and the body sets no bound.
    ///
    /// Anthropic: https://docs.anthropic.com/en/docs/agents-and-tools/tool-use/web-search-tool, "max_uses".
    /// OpenAI: https://platform.openai.com/docs/api-reference/responses/create, "max_tool_calls".
    /// Google: https://ai.google.dev/gemini-api/docs/google-search.
    static func searchesMax(_ root: JSONValue, kind: CallKind) throws(GatewayError) -> Int64? {
        var sum: Int64 = 0
        var lists = [try self.member(root, "tools")]
        if kind == .converse {
            lists.append(try self.member(try self.member(root, "toolConfig"), "tools"))
            lists.append(try self.member(try self.member(root, "additionalModelRequestFields"), "tools"))
        }
        for case let list? in lists {
            for tool in list.elements where try self.searches(tool) {
                if sum >= 0, let uses = try self.member(tool, "max_uses")?.count {
                    sum = min(sum + min(uses, self.searchesBoundMax), self.searchesBoundMax)
                } else {
                    sum = -1
                }
            }
        }
        // A prompt that the provider keeps may bring tools of its own.
        if kind == .responses, try self.member(root, "prompt") != nil { sum = -1 }
        if sum < 0, kind == .responses, let calls = try self.member(root, "max_tool_calls")?.count {
            sum = min(calls, self.searchesBoundMax)
        }
        return sum < 0 ? nil : sum
    }

    /// No model comes near; keeps products of it in their range.
    private static let searchesBoundMax: Int64 = 1 << 20

    private static func searches(_ tool: JSONValue) throws(GatewayError) -> Bool {
        if let type = try self.member(tool, "type")?.text { return type.string.hasPrefix("web_search") }
        let names: [StaticString] = [
            "googleSearch", "google_search", "googleSearchRetrieval", "google_search_retrieval",
            "enterpriseWebSearch", "enterprise_web_search", "systemTool",
        ]
        return tool.members.contains { member in names.contains { member.isKey($0) } }
    }
}
