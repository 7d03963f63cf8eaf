extension Schema {
    /// The view of rows names the calls that are no conversations.
    static let version8 = [
        "DROP VIEW usage_rows",
        Self.usageView.replacing(
            "WHEN 2 THEN 'aembedding'",
            with: """
                WHEN 2 THEN 'aembedding' WHEN 3 THEN 'anthropic_messages' WHEN 4 THEN 'aresponses'
                WHEN 5 THEN 'agenerate_content' WHEN 6 THEN 'allm_passthrough_route' WHEN 7 THEN 'aimage_generation'
                WHEN 8 THEN 'aimage_edit' WHEN 9 THEN 'aimage_variation' WHEN 10 THEN 'aspeech'
                WHEN 11 THEN 'atranscription' WHEN 12 THEN 'atranslation' WHEN 13 THEN 'amoderation'
                WHEN 14 THEN 'arerank' WHEN 15 THEN 'pass_through_endpoint'
                """, maxReplacements: 1),
    ]
}
