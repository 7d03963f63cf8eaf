extension ConfigurationSchema {
    static let topKeys: [Key] = join(
        rows("model_list", .list, .supported("The deployments; entries of one name form a group.")),
        rows(
            "litellm_settings router_settings general_settings", .mapping, .supported("Sections below.")),
        rows("martlet", .mapping, .supported("Our own settings, below.")),
        rows(
            "environment_variables", .mapping,
            .supported(
                "Further variables for `os.environ/NAME` and `${NAME}`; they win over the process's own.")),
        rows(
            "include", .texts,
            .supported(
                "Further files, relative to this one: lists are appended, mappings merged. Not nested.")),
        rows(
            "credential_list", .list, .supported("Named values that `litellm_credential_name` refers to.")
        ),
        rows(
            "callback_settings", .mapping,
            .withoutEffect("it configures callbacks, which are reported themselves")),
        rows(
            "guardrails policies policy_attachments", .any,
            .unsupported("calls would go through unchecked; remove the key if that is acceptable")),
        rows(
            "mcp_servers mcp_aliases mcp_tools vector_store_registry search_tools prompts agent_list a2a_agents",
            .any, .unsupported("this version serves chat, completions and embeddings; remove the key")),
        rows(
            "finetune_settings files_settings assistant_settings batch_settings", .any,
            .unsupported("files, batches and fine-tuning are not served by this version; remove the key")),
        rows("worker_registry", .any, .unsupported("pods need no registry; remove the key")),
        rows(
            "teams default_team_settings", .any,
            .unsupported("teams come from the management API (/team/new); remove the key")))

    static let modelEntryKeys: [Key] = join(
        rows("model_name", .text, .supported("The name callers use; may hold one `*`.")),
        rows("litellm_params", .mapping, .supported("How the deployment is called, below.")),
        rows("model_info", .mapping, .supported("What is known about the deployment, below.")))

    static let credentialKeys: [Key] = join(
        rows("credential_name", .text, .supported("The name that `litellm_credential_name` uses.")),
        rows(
            "credential_values", .mapping,
            .supported("Keys of `litellm_params`; an entry's own win over them.")),
        rows("credential_info", .any, .withoutEffect("it is a description")))

    static let modelParameterKeys: [Key] = join(
        Self.connectionKeys,
        Self.balancingKeys,
        Self.priceKeys,
        Self.bodyParameterKeys)

    private static let connectionKeys: [Key] = join(
        rows(
            "model", .text,
            .supported("`provider/model`; the prefix picks the provider. `*` with a wildcard name.")),
        rows("custom_llm_provider", .text, .supported("The provider, where `model` has no prefix.")),
        rows(
            "api_key", .secret,
            .supported("The provider's key; without it the provider's variable is read.")),
        rows("api_base base_url", .text, .supported("The provider's base URL, http or https.")),
        rows(
            "litellm_credential_name", .text,
            .supported("An entry of `credential_list`, or a stored credential.")),
        rows("organization", .text, .supported("Sent as `OpenAI-Organization`.")),
        rows(
            "extra_headers headers", .mapping, .supported("Headers added to calls of this deployment.")),
        rows("timeout", .seconds, .supported("Whole attempt, seconds.")),
        rows("stream_timeout", .seconds, .supported("Whole attempt of a stream, seconds.")),
        rows(
            "ssl_verify", .booleanOrText,
            .supported(
                "`false` skips the check of the provider's certificate; a path names further authorities.")),
        rows(
            "mock_response", .text,
            .supported("This text answers every call; the provider is not called.")),
        rows("api_version", .text, .supported("Azure's `api-version`; `v1` is the API without versions.")),
        rows("aws_region_name", .text, .supported("Region of Bedrock.")),
        rows("aws_access_key_id", .text, .supported("Signs calls to Bedrock, with the next two, in place of a key.")),
        rows(
            "aws_secret_access_key aws_session_token", .secret, .supported("With `aws_access_key_id`.")),
        rows(
            "aws_profile_name", .text,
            .supported("A profile of AWS' shared files, whose keys or role sign calls to Bedrock.")),
        rows(
            "aws_role_name", .text,
            .supported(
                "ARN of a role that is taken on with the entry's keys, profile or web identity, else with those of the "
                    + "environment.")),
        rows("aws_session_name aws_external_id", .text, .supported("With `aws_role_name`.")),
        rows(
            "aws_web_identity_token", .secret,
            .supported("Takes on `aws_role_name`: a token, `oidc/file/PATH` or `oidc/env/NAME`.")),
        rows("aws_sts_endpoint", .text, .supported("Address of AWS' security token service.")),
        rows(
            "vertex_credentials vertex_ai_credentials", .any,
            .supported(
                "Key file of a Google service account: its path, its JSON, or the same as a mapping; access tokens are "
                    + "fetched with it.")),
        rows(
            "tenant_id client_id", .text,
            .supported("With `client_secret`: Azure is called with tokens of Microsoft Entra.")),
        rows("client_secret", .secret, .supported("With `tenant_id` and `client_id`.")),
        rows("azure_ad_token", .secret, .supported("A token of Entra as it is sent, in place of these.")),
        rows("azure_scope", .text, .supported("Scope of Entra's tokens; without it that of Azure OpenAI.")),
        rows(
            "vertex_project vertex_ai_project vertex_location vertex_ai_location", .text,
            .supported("Project and location of Vertex AI.")),
        rows("snowflake_account_id", .text, .supported("Account of Snowflake.")),
        rows(
            "aws_* vertex_* azure_* watsonx_* region_name", .any,
            .unsupported(
                "this version cannot call a provider by it; put a key into `api_key` and remove the entry")
        ),
        rows(
            "use_litellm_proxy configurable_clientside_auth_params", .any,
            .unsupported("callers cannot choose the provider's address or key; remove the key")),
        rows(
            "use_in_pass_through", .boolean,
            .supported("The provider's own paths (`/anthropic/...`) are called with this entry's address and key.")))

    private static let balancingKeys: [Key] = join(
        rows(
            "weight", .number(0.000_001...1_000_000),
            .supported("Relative weight in its group, more than 0.")),
        rows(
            "rpm tpm", .number(0...1e12),
            .supported(
                "A weight where the group has no `weight`; with `enforce_model_rate_limits` in "
                    + "`router_settings.optional_pre_call_checks` also a limit, for all pods together.")),
        rows(
            "itpm otpm rpd tpd", .any,
            .withoutEffect("LiteLLM limits by it only with a strategy that is not supported")),
        rows(
            "max_parallel_requests", .integer(1...1_000_000),
            .supported("Calls in flight at once, on each pod.")),
        rows(
            "max_retries num_retries", .integer(0...100),
            .withoutEffect("`router_settings.num_retries` holds for all deployments")),
        rows(
            "cooldown_time", .number(0...1e7),
            .withoutEffect("`router_settings.cooldown_time` holds for all")),
        rows("tags tag_regex", .any, .withoutEffect("tags route only with `enable_tag_filtering`")),
        rows("order", .any, .unsupported("use two groups and `fallbacks`, the preferred group first")),
        rows(
            "max_budget", .number(0...1e9),
            .supported(
                "What calls of the deployment may cost, US dollars, for all pods together; once it is spent, routing "
                    + "passes the deployment over.")),
        rows(
            "budget_duration", .text,
            .supported("After which `max_budget` begins anew, such as `1d`; without it never.")),
        rows(
            "default_api_key_rpm_limit default_api_key_tpm_limit", .any,
            .unsupported("give keys `model_rpm_limit` and `model_tpm_limit` over the management API; remove the key")))

    private static let priceKeys: [Key] =
        rows(
            "*cost_per_* *token_cost* tiered_pricing off_peak_pricing", .price,
            .supported(
                "Price in US dollars per unit (token, second, image, ...); wins over the price catalogue."))

    private static let bodyParameterKeys: [Key] = join(
        rows(
            "drop_params", .boolean,
            .supported(
                "What another provider's format cannot express is left out instead of refused; wins over the "
                    + "setting for all.")),
        rows(
            "merge_reasoning_content_in_choices", .boolean, .unsupported("answers pass through untouched")
        ),
        rows(
            """
            temperature top_p top_k min_p n stream stop max_tokens max_completion_tokens presence_penalty
            frequency_penalty logit_bias user seed response_format tools tool_choice functions function_call logprobs
            top_logprobs parallel_tool_calls reasoning_effort thinking stream_options modalities audio prediction
            store metadata service_tier extra_body dimensions encoding_format input_type safety_settings
            allowed_openai_params additional_drop_params modify_params verbosity cache_control_injection_points
            repetition_penalty num_ctx keep_alive web_search_options
            """, .any,
            .unsupported(
                "bodies pass through untouched, so nothing is added to or dropped from them; set it in the call"
            )),
        rows(
            "guardrails mock_timeout mock_tool_calls prompt_id prompt_variables vector_store_ids fallbacks",
            .any,
            .unsupported("not applied to single deployments by this version; remove the key")))

    static let untouched =
        "bodies pass through untouched between callers and providers of one protocol, so nothing is dropped"

    static let modelInfoKeys: [Key] = join(
        rows(
            "id", .text, .supported("Stable identifier; without it a hash of the entry, keys left out.")),
        rows("mode", .text, .supported("`chat`, `completion` or `embedding`: for listings.")),
        rows("base_model", .text, .supported("Name for the price look-up.")),
        rows(
            "max_input_tokens max_output_tokens", .integer(1...1_000_000_000), .supported("For listings.")
        ),
        rows("blocked", .boolean, .supported("`true` takes the deployment out of its group.")),
        Self.priceKeys,
        rows(
            """
            max_tokens litellm_provider key description version supports_* updated_at updated_by created_at
            created_by
            """,
            .any, .withoutEffect("it is a description")),
        rows(
            """
            health_check_model health_check_timeout health_check_voice health_check_max_tokens
            disable_background_health_check
            """, .any, .withoutEffect("providers are not probed; a deployment that fails cools down")),
        rows(
            "access_groups", .texts,
            .supported("Names that stand for this model in the lists of models of keys, teams and users.")),
        rows("db_model tier", .any, .withoutEffect("LiteLLM sets it itself")),
        rows(
            "team_id team_public_model_name", .any,
            .unsupported("the model would be open to all; restrict it by the `models` of keys")),
        rows(
            "supported_environments access_windows", .any,
            .unsupported("the deployment would always be used; remove the key or the entry")))
}
