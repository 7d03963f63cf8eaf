/// One statement of ours. `{s}` in its text stands for the schema: names are always qualified, because a search path
/// would be session state, which a pooler does not keep.
struct PostgresStatement: Sendable {
    /// Under which name it is prepared. `nil`: it never is, because its plan must fit the tables as they are now.
    let name: String?
    let text: String
    /// Whether repeating it at once after a broken connection can do no harm and shows nothing wrong.
    let isRead: Bool
    /// Whether its answer has columns, be there rows or not.
    let hasColumns: Bool

    init(_ name: String?, isRead: Bool = false, hasColumns: Bool = true, _ text: String) {
        self.name = name
        self.isRead = isRead
        self.hasColumns = hasColumns
        self.text = text
    }
}
