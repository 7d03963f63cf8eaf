extension Schema {
    /// The view of rows names the calls of other formats.
    static let version7 = [
        "DROP VIEW usage_rows",
        Self.usageView.replacing(
            "WHEN 2 THEN 'aembedding'",
            with: """
                WHEN 2 THEN 'aembedding' WHEN 3 THEN 'anthropic_messages' WHEN 4 THEN 'aresponses'
                WHEN 5 THEN 'agenerate_content' WHEN 6 THEN 'allm_passthrough_route'
                """, maxReplacements: 1),
    ]
}
