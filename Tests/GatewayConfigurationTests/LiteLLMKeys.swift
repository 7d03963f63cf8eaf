import GatewayConfiguration

/// Keys and variables that LiteLLM's documentation lists, so that none is "unknown" here.
enum LiteLLMKeys {
    static let all: [(ConfigurationSchema.Section, String)] = [
        (
            .top,
            """
            model_list litellm_settings general_settings router_settings environment_variables callback_settings
            guardrails mcp_servers vector_store_registry search_tools prompts policies credential_list include
            finetune_settings files_settings worker_registry teams
            """
        ),
        (.modelEntry, "model_name litellm_params model_info"),
        (
            .modelParameters,
            """
            model api_key api_base api_version organization custom_llm_provider litellm_credential_name
            aws_access_key_id aws_secret_access_key aws_region_name vertex_project vertex_location azure_ad_token
            tenant_id client_id client_secret watsonx_region_name rpm tpm itpm otpm tpd rpd weight order
            max_parallel_requests timeout stream_timeout max_retries num_retries cooldown_time tags tag_regex max_budget
            budget_duration default_api_key_rpm_limit default_api_key_tpm_limit input_cost_per_token
            output_cost_per_token input_cost_per_second output_cost_per_second cache_read_input_token_cost
            cache_creation_input_token_cost tiered_pricing drop_params additional_drop_params extra_headers extra_body
            temperature mock_response use_in_pass_through configurable_clientside_auth_params
            merge_reasoning_content_in_choices
            """
        ),
        (
            .modelInfo,
            """
            id mode base_model access_groups team_id team_public_model_name supported_environments
            disable_background_health_check health_check_model health_check_timeout max_input_tokens access_windows
            blocked
            """
        ),
        (
            .routerSettings,
            """
            routing_strategy routing_strategy_args num_retries retry_after timeout stream_timeout allowed_fails
            allowed_fails_policy retry_policy model_group_retry_policy cooldown_time disable_cooldowns fallbacks
            context_window_fallbacks content_policy_fallbacks default_fallbacks max_fallbacks model_group_alias
            enable_pre_call_checks optional_pre_call_checks enable_tag_filtering tag_filtering_match_any
            provider_budget_config redis_host redis_port redis_password redis_url redis_db cache_responses
            caching_groups client_ttl default_litellm_params default_max_parallel_requests default_priority
            routing_groups deployment_affinity_ttl_seconds enable_health_check_routing
            health_check_staleness_threshold health_check_ignore_transient_errors enable_weighted_failover
            enable_mid_stream_fallback_continuation ignore_invalid_deployments max_retries
            """
        ),
        (
            .litellmSettings,
            """
            callbacks success_callback failure_callback service_callbacks cache cache_params enable_redis_auth_cache
            request_timeout num_retries drop_params modify_params default_fallbacks fallbacks context_window_fallbacks
            content_policy_fallbacks turn_off_message_logging redact_user_api_key_info json_logs max_budget
            budget_duration default_internal_user_params max_internal_user_budget internal_user_budget_duration
            default_team_params default_team_settings default_key_generate_params upperbound_key_generate_params
            key_generation_settings max_end_user_budget max_end_user_budget_id tag_budget_config cost_discount_config
            cost_margin_config priority_reservation public_model_groups store_audit_logs
            custom_prometheus_metadata_labels custom_prometheus_tags prometheus_metrics_config
            require_auth_for_metrics_endpoint budget_exceeded_status_code budget_rollover force_ipv4 ssl_verify
            network_mock set_verbose
            """
        ),
        (
            .generalSettings,
            """
            master_key database_url database_connection_pool_limit database_connection_timeout
            database_disable_prepared_statements proxy_batch_write_at proxy_budget_rescheduler_min_time
            proxy_budget_rescheduler_max_time proxy_config_reload_interval_seconds user_api_key_cache_ttl
            user_api_key_cache_max_size use_redis_transaction_buffer coordination_redis store_model_in_db
            supported_db_objects store_prompts_in_spend_logs disable_spend_logs disable_error_logs
            disable_spend_updates disable_reset_budget maximum_spend_logs_retention_period
            maximum_spend_logs_retention_interval maximum_spend_logs_cleanup_cron maximum_spend_logs_size
            use_spend_logs_partitioning background_health_checks health_check_interval health_check_concurrency
            use_shared_health_check background_health_check_model_groups allow_requests_on_db_unavailable
            fail_closed_budget_enforcement fail_closed_rate_limit_enforcement disable_budget_reservation
            apply_user_budget_to_team_keys global_max_parallel_requests max_parallel_requests
            max_in_flight_requests_per_worker max_queued_requests_per_worker admission_queue_timeout_seconds
            token_rate_limit_type max_request_size_mb max_response_size_mb enable_jwt_auth litellm_jwtauth
            enable_oauth2_auth custom_auth custom_auth_run_common_checks allowed_routes public_routes admin_only_routes
            allowed_ips use_x_forwarded_for trusted_proxy_ranges enforce_user_param enforced_params
            reject_clientside_metadata_tags user_header_mappings key_management_system key_management_settings alerting
            alerting_threshold alerting_args alert_types alert_to_webhook_url spend_report_frequency
            pass_through_endpoints forward_client_headers_to_llm_api cancel_on_disconnect missing_session_id
            return_wildcard_routes infer_model_from_keys scheduled_job_stagger litellm_key_header_name
            include_call_id_in_error_body dangerously_permit_weak_or_unset_master_key accounting_capture
            """
        ),
    ]

    static let variables = """
        LITELLM_MASTER_KEY LITELLM_SALT_KEY DATABASE_URL DATABASE_HOST DATABASE_USERNAME DATABASE_PASSWORD DATABASE_NAME
        DATABASE_URL_READ_REPLICA STORE_MODEL_IN_DB REDIS_HOST REDIS_PORT REDIS_PASSWORD REDIS_URL REDIS_SSL
        REDIS_CLUSTER_NODES UI_USERNAME UI_PASSWORD PROXY_BASE_URL PROXY_ADMIN_ID LITELLM_LOG LITELLM_MODE NUM_WORKERS
        LITELLM_LICENSE PROMETHEUS_MULTIPROC_DIR SERVER_ROOT_PATH MICROSOFT_CLIENT_ID GOOGLE_CLIENT_ID GENERIC_CLIENT_ID
        SMTP_HOST SLACK_WEBHOOK_URL USE_PRISMA_MIGRATE DISABLE_SCHEMA_UPDATE GRACEFUL_SHUTDOWN_TIMEOUT
        LITELLM_RATE_LIMIT_WINDOW_SIZE LITELLM_TPM_TOKEN_RESERVATION_ENABLED KEEPALIVE_TIMEOUT
        MAX_REQUESTS_BEFORE_RESTART
        """
}
