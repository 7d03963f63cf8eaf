extension ConfigurationSchema {
    static let litellmSettingsKeys: [Key] = join(
        rows(
            "request_timeout", .seconds,
            .supported("Whole attempt, seconds; `router_settings.timeout` wins.")),
        rows(
            "num_retries", .integer(0...10), .supported("As `router_settings.num_retries`, which wins.")),
        rows("fallbacks default_fallbacks", .list, .supported("As in `router_settings`, which wins.")),
        rows("allowed_fails", .integer(0...1_000_000), .withoutEffect(Self.allowedFails)),
        rows(
            "cooldown_time", .number(0...1e7),
            .supported("As `router_settings.cooldown_time`, which wins.")),
        rows("ssl_verify", .booleanOrText, .supported("Default of `litellm_params.ssl_verify`.")),
        rows("json_logs", .boolean, .supported("One JSON object per log line.")),
        rows(
            "budget_exceeded_status_code", .choice(["400", "402", "422", "429"]),
            .supported("HTTP status when a budget is spent.")),
        rows("require_auth_for_metrics_endpoint", .boolean, .supported("`/metrics` asks for a key.")),
        rows(
            "drop_params", .boolean,
            .supported("What another provider's format cannot express is left out instead of refused.")),
        rows("modify_params", .boolean, .withoutEffect(Self.untouched)),
        rows(
            "set_verbose suppress_debug_info debug telemetry", .any,
            .withoutEffect("use `martlet.log_level`")),
        rows(
            """
            turn_off_message_logging redact_user_api_key_info redact_messages_in_exceptions
            disable_streaming_logging
            """, .any, .withoutEffect("prompts and answers are never logged")),
        rows("force_ipv4", .boolean, .withoutEffect("both address families are tried")),
        rows(
            """
            enable_redis_auth_cache custom_prometheus_metadata_labels custom_prometheus_tags
            prometheus_metrics_config prometheus_initialize_budget_metrics public_model_groups langfuse_*
            s3_callback_params datadog_params gcs_* aiohttp_* disable_aiohttp_transport
            disable_end_user_cost_tracking disable_end_user_cost_tracking_prometheus_only
            enable_json_schema_validation ui_theme_config default_internal_user_params
            max_internal_user_budget internal_user_budget_duration default_team_params default_team_settings
            disable_copilot_system_to_assistant
            """, .any, .withoutEffect("it belongs to a feature that this version does not have")),
        rows(
            "callbacks success_callback failure_callback service_callback service_callbacks audit_log_callbacks",
            .textOrList,
            .unsupported(
                "nothing would be delivered; `prometheus` may stay, /metrics is always on; remove the others"
            )),
        rows(
            "cache_params", .mapping,
            .supported(
                "Where Redis is, for `use_redis_transaction_buffer`: `url`, or `host`, `port`, `username`, `password`, "
                    + "`db`, `ssl`; `sentinel_nodes` with `service_name` and `sentinel_password`; `namespace`. The rest is "
                    + "for a cache of answers and has no effect.")),
        rows(
            "cache", .boolean, .unsupported("answers are not cached by this version; set it to false")),
        rows(
            "context_window_fallbacks content_policy_fallbacks", .list,
            .unsupported(
                "`fallbacks` follow failures, not refusals of a prompt, which go to the caller; remove the key")),
        rows(
            "max_budget", .number(0...1e9),
            .supported("Budget of all calls together, US dollars, for all pods; read at start.")),
        rows(
            "budget_duration", .text,
            .supported("After which `max_budget` begins anew, such as `30d`; without it never. Read at start.")),
        rows(
            "timezone", .text,
            .supported(
                "Whose midnight begins windows of days, weeks and months, such as `Europe/Warsaw`; read at start.")),
        rows(
            "max_end_user_budget_id", .text,
            .supported("Budget (`/budget/new`) of customers that have none of their own; read at start.")),
        rows(
            "budget_rollover", .boolean,
            .supported(
                "`true`: what a window of a budget did not use is added to the next one, as much as the budget is for at "
                    + "most; `budget_rollover` of keys and their owners says otherwise. Read at start.")),
        rows(
            "max_end_user_budget tag_budget_config", .any,
            .unsupported("give customers and tags their budgets over the management API; remove the key")),
        rows(
            "upperbound_key_generate_params default_key_generate_params key_generation_settings", .any,
            .unsupported("keys would be made without it; give the limits in each POST /key/generate")),
        rows(
            "cost_discount_config cost_margin_config", .any,
            .unsupported("costs would differ; set the prices of the deployments under `litellm_params`")),
        rows(
            "store_audit_logs", .boolean,
            .unsupported("no audit log is kept by this version; set it to false")),
        rows(
            "priority_reservation network_mock enable_preview_features post_call_rules model_alias_map",
            .any,
            .unsupported("not applied by this version; remove the key")))

    private static let allowedFails =
        "a deployment cools down after one failure that another deployment could have answered"

    static let routerSettingsKeys: [Key] = join(
        rows(
            "routing_strategy", .choice(["simple-shuffle"]),
            .supported("`simple-shuffle` alone: a weighted random pick.")),
        rows(
            "num_retries", .integer(0...10), .supported("Further attempts after a failed one. Default 2.")
        ),
        rows("timeout", .seconds, .supported("Whole attempt, seconds. Default 6000.")),
        rows("stream_timeout", .seconds, .supported("Whole attempt of a stream, seconds.")),
        rows(
            "fallbacks", .list,
            .supported(
                "`- group: [targets]`: groups tried in order when all attempts failed; `*` for any group.")),
        rows(
            "default_fallbacks", .list, .supported("Targets for groups without an entry in `fallbacks`.")),
        rows(
            "model_group_alias", .mapping,
            .supported("`alias: group`, or `alias: {model: group, hidden: true}`.")),
        rows(
            "cooldown_time", .number(0...1e7),
            .supported("Seconds that a failing deployment rests. Default 5.")),
        rows("disable_cooldowns", .boolean, .supported("No deployment rests.")),
        rows(
            "default_max_parallel_requests", .integer(1...1_000_000),
            .supported("For deployments without their own.")),
        rows("allowed_fails", .integer(0...1_000_000), .withoutEffect(Self.allowedFails)),
        rows(
            "retry_after max_fallbacks max_retries", .number(0...1e7),
            .withoutEffect("use `num_retries`; waits and depth have bounds of their own")),
        rows(
            "redis_* cache_responses cache_kwargs caching_groups", .any,
            .withoutEffect("pods need no Redis, and answers are not cached")),
        rows(
            """
            set_verbose debug_level client_ttl routing_strategy_args enable_weighted_failover
            health_check_* deployment_affinity_ttl_seconds tag_filtering_match_any polling_interval
            router_general_settings assistants_config alerting_config
            """, .any, .withoutEffect("it tunes a feature that this version does not have or need")),
        rows(
            "context_window_fallbacks content_policy_fallbacks", .list,
            .unsupported(
                "`fallbacks` follow failures, not refusals of a prompt, which go to the caller; remove the key")),
        rows(
            "allowed_fails_policy retry_policy model_group_retry_policy", .any,
            .unsupported("retries and cooldowns go by status (408, 409, 429, 5xx); remove the key")),
        rows(
            "enable_pre_call_checks enable_tag_filtering enable_health_check_routing routing_groups",
            .any,
            .unsupported("calls would be routed without it; remove the key")),
        rows(
            "optional_pre_call_checks", .list,
            .supported(
                "`enforce_model_rate_limits`: `rpm` and `tpm` of deployments are limits; `router_budget_limiting` is "
                    + "always on. No others.")),
        rows(
            "provider_budget_config", .mapping,
            .supported(
                "`provider: {budget_limit: dollars, time_period: 1d}`: what calls of a provider may cost, for all pods "
                    + "together; once it is spent, routing passes its deployments over.")),
        rows(
            """
            default_litellm_params default_priority enable_mid_stream_fallback_continuation
            model_group_affinity_config
            """,
            .any, .unsupported("not applied by this version; remove the key")),
        rows(
            "ignore_invalid_deployments", .boolean,
            .unsupported("an invalid deployment is always an error; mend or remove it")))

    static let generalSettingsKeys: [Key] = join(
        rows(
            "master_key", .secret,
            .supported("The administrator's key, `sk-...`; without it one is made.")),
        rows(
            "database_url", .secret,
            .supported("PostgreSQL that holds the ledger, for any number of pods; without it the ledger is SQLite.")),
        rows(
            "use_redis_transaction_buffer", .boolean,
            .supported(
                "`true`: rows of all pods travel by Redis, and one pod at a time writes them into PostgreSQL "
                    + "([redis.md](redis.md)).")),
        rows(
            "global_max_parallel_requests", .integer(0...1_000_000),
            .supported("Calls at one time, of all pods together; 0: any number. Read at start.")),
        rows(
            "max_parallel_requests", .integer(0...1_000_000),
            .supported(
                "Calls at one time of each deployment that does not say it and on each pod, where `router_settings` has no "
                    + "`default_max_parallel_requests`; 0: any number.")),
        rows(
            "rate_limit_window", .choice(["fixed", "sliding"]),
            .supported(
                "`sliding`: limits of requests and tokens hold for any 60 seconds and any 24 hours, not only for the "
                    + "minutes and days of the clock; `rate_limit_window` of keys and their owners says otherwise. Those "
                    + "of deployments stay fixed. Read at start.")),
        rows(
            "token_rate_limit_type", .choice(["total", "input", "output"]),
            .supported(
                "Which tokens `tpm_limit` and `tpd_limit` of keys and their owners count: `total`, `input` or `output`. "
                    + "Read at start.")),
        rows(
            "max_request_size_mb", .number(0.001...4096), .supported("Bound of a request's body, MiB.")),
        rows(
            "maximum_spend_logs_retention_period", .text,
            .supported(
                "Usage rows older than this are deleted, `30d`, `24h`, `60m` or `3600s`; whole days with PostgreSQL. What "
                    + "they cost stays in every sum. Without it all are kept.")),
        Self.generalWithoutEffect,
        Self.generalUnsupported)

    private static let generalWithoutEffect: [Key] = join(
        rows(
            """
            database_connection_pool_limit database_connection_timeout database_connection_pool_timeout
            database_disable_prepared_statements database_extra_connection_params database_type database_args
            proxy_batch_write_at allow_requests_on_db_unavailable use_spend_logs_partitioning
            disable_prisma_schema_update
            """, .any, .withoutEffect("the ledger is embedded and its bounds are under `martlet:`")),
        rows(
            """
            coordination_redis proxy_config_reload_interval_seconds
            user_api_key_cache_ttl user_api_key_cache_max_size scheduled_job_stagger
            """, .any, .withoutEffect("changes are in force at once, without Redis or caches")),
        rows(
            "maximum_spend_logs_retention_interval maximum_spend_logs_*", .any,
            .withoutEffect("old rows are deleted all the time, in steps that hold up nobody")),
        rows(
            "proxy_budget_rescheduler_min_time proxy_budget_rescheduler_max_time", .any,
            .withoutEffect("budgets begin anew at the moment, without a job")),
        rows(
            "store_model_in_db", .boolean,
            .supported(
                "`true`: models and credentials of `/model/new` and `/credentials` are stored and served beside this "
                    + "file's.")),
        rows(
            "supported_db_objects", .any,
            .withoutEffect("with `store_model_in_db`, models and credentials are read from the store")),
        rows(
            """
            background_health_checks health_check_interval health_check_concurrency health_check_details
            use_shared_health_check background_health_check_model_groups enable_health_check_routing
            """, .any, .withoutEffect("providers are not probed; a deployment that fails cools down")),
        rows(
            "apply_user_budget_to_team_keys", .boolean,
            .supported("A user's budget also binds the user's keys of a team; read at start.")),
        rows(
            "disable_budget_reservation fail_closed_budget_enforcement",
            .any,
            .withoutEffect("every call reserves in slices that its pod holds, whether a cache answers or not")),
        rows(
            "disable_error_logs disable_adding_master_key_hash_to_db", .any,
            .withoutEffect("prompts and answers are never stored")),
        rows(
            """
            alerting alerting_threshold alerting_args alert_types alert_to_webhook_url spend_report_frequency
            """, .any, .withoutEffect("alerts are made from /metrics")),
        rows(
            "dangerously_permit_weak_or_unset_master_key", .any,
            .withoutEffect("without a key one is made")),
        rows(
            """
            completion_model infer_model_from_keys include_call_id_in_error_body return_wildcard_routes
            missing_session_id ui_access_mode disable_master_key_return max_response_size_mb cancel_on_disconnect
            use_x_forwarded_for trusted_proxy_ranges num_workers
            """, .any, .withoutEffect("this version has its own way, which it does not change")))

    private static let generalUnsupported: [Key] = join(
        rows(
            "database_url_read_replica", .secret,
            .unsupported("a pod opens at most 3 connections, all to the primary; remove the key")),
        rows(
            "disable_spend_logs disable_spend_updates disable_reset_budget", .any,
            .unsupported("every call stands in the ledger; remove the key")),
        rows(
            "store_prompts_in_spend_logs", .boolean,
            .unsupported("prompts and answers are never stored; set it to false")),
        rows(
            """
            fail_closed_rate_limit_enforcement
            """,
            .any,
            .unsupported("not applied by this version; give keys, teams and deployments limits")),
        rows(
            """
            max_in_flight_requests_per_worker max_queued_requests_per_worker admission_queue_timeout_seconds
            """, .any,
            .unsupported(
                "use martlet.in_flight_max, martlet.waiting_max and martlet.waiting_timeout_seconds")),
        rows(
            """
            enable_jwt_auth litellm_jwtauth enable_oauth2_auth enable_oauth2_proxy_auth custom_auth
            custom_auth_run_common_checks custom_key_generate custom_sso custom_ui_sso_sign_in_handler
            litellm_key_header_name user_header_mappings user_header_name oauth2_config_mappings
            """, .any,
            .unsupported("callers authenticate by master key and virtual keys alone; remove the key")),
        rows(
            "allowed_routes public_routes admin_only_routes allowed_ips role_permissions", .any,
            .unsupported("access would be wider or narrower than it says; remove the key")),
        rows(
            "enforce_user_param enforced_params reject_clientside_metadata_tags", .any,
            .unsupported("calls would be let through without it; remove the key")),
        rows(
            "key_management_system key_management_settings", .any,
            .unsupported(
                "secrets come from the environment; let the platform put them there, then remove the key")),
        rows(
            "pass_through_endpoints", .list,
            .unsupported("pass-through routes are not served; remove the key")),
        rows(
            "forward_client_headers_to_llm_api forward_openai_org_id", .any,
            .unsupported("callers' headers are not forwarded; use extra_headers of the deployment")),
        rows(
            "accounting_*", .any,
            .unsupported("the journal always captures every attempt; remove the key")))
}
