"""Tests that take a second or more each; most are of what quicker ones of the default suite hold in part.

`make thorough`, which CI calls too, runs them; so does naming one on pytest's command line with `-m ""`. By
file: functions, or one of their cases as pytest names it.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["THOROUGH", "is_thorough"]

_DIFFERENCES = "; ".join(
    f"test_gradients_are_those_of_differences[{margin}-{loss}]"
    for margin in (
        "cosface",
        "arcface",
        "elastic arcface",
        "elastic cosface+",
        "l_softmax",
        "annealed l_softmax",
    )
    for loss in ("softmax", "supervised_contrastive", "binary_cross_entropy")
)

THOROUGH: Mapping[str, frozenset[str]] = {
    file: frozenset(names.split("; "))
    for file, names in {
        "benchmarks/test_against_dexml.py": (
            "test_every_method_is_one_that_the_recipe_takes; "
            "test_where_formulas_are_alike_nothing_but_the_objective_differs; "
            "test_all_defaults_are_those_that_are_taken_one_at_a_time; "
            "test_both_are_trained_alike_and_measured; test_a_cut_transformer_is_its_first_layers"
        ),
        "benchmarks/test_gpu.py": (
            "test_a_process_that_hangs_is_replaced_and_the_budget_ends_a_run; "
            "test_a_run_that_is_cut_off_keeps_what_it_has; test_parts_agree_with_float64[adamw]"
        ),
        "bench/test_known_towers.py": "test_a_decoder_has_the_parameters_of_the_library_s",
        "bench/test_recipe_cost.py": "test_every_recipe_is_dry_run_on_made_up_counts",
        "bench/test_spherical.py": "test_the_command_writes_figures_and_a_plot; test_a_png_and_no_other_kind",
        "bench/test_training_steps.py": "test_collectives_are_told_apart",
        "benchmarks/test_gpu_bare.py": "test_the_smoke_test_and_a_training_run",
        "benchmarks/test_gpu_texts.py": "test_a_data_set_that_is_given_is_cut_and_the_time_ends_a_training",
        "benchmarks/test_methods.py": (
            "test_every_method_is_one_that_the_recipe_takes[yso-finnatitles-24k]; "
            "test_every_method_is_one_that_the_recipe_takes[debian-related-30k]"
        ),
        "benchmarks/test_peers.py": "test_lexical_matching_finds_equal_words",
        "cli/test_compare_report.py": (
            "test_report_writes_its_files; test_report_with_the_untrained_encoder_as_baseline; "
            "test_stored_rankings_are_used_until_the_model_changes"
        ),
        "cli/test_data_update.py": "test_a_data_set_and_its_index_change_alike",
        "cli/test_distill.py": "test_the_file_the_ensemble_and_the_student",
        "cli/test_export.py": "test_export_and_search",
        "cli/test_index.py": "test_tune_keeps_what_reaches_the_recall",
        "cli/test_predict.py": (
            "test_a_static_model_is_searched_and_trained_without_libraries_that_are_not_needed"
        ),
        "cli/test_search_with.py": "test_parts_print_what_one_index_prints",
        "corpora/test_api_docs.py": "test_a_real_package",
        "data/tables/test_lent_file.py": (
            "test_a_read_that_fails_is_not_waited_for[cut off]; "
            "test_the_interpreter_ends_though_a_file_was_read_half_way[utf-16]"
        ),
        "data/test_tokens.py": "test_rows_come_back_in_any_order",
        "distributed/test_launch.py": "test_the_users_script_runs_on_every_rank_with_its_own_arguments",
        "encoders/test_adapters.py": (
            "test_a_saved_model_is_an_ordinary_one_and_the_running_one_is_untouched; "
            "test_the_layers_are_those_that_are_asked_for; test_fresh_adapters_change_nothing; "
            "test_separate_towers_start_alike_and_share_what_is_frozen"
        ),
        "encoders/test_compiled_layers.py": (
            "test_a_replay_draws_the_same_dropout; test_layers_share_a_compilation_for_all_numbers_of_tokens"
        ),
        "encoders/test_dual_encoder.py": "test_the_saved_folder_opens_without_this_package",
        "encoders/test_embedded.py": "test_embedded_equals_the_library_and_survives_saving",
        "engines/test_opensearch.py": "test_its_life",
        "engines/test_parquet.py": "test_its_life[False]",
        "encoders/test_prompts.py": (
            "test_prompts_are_in_the_folder_as_the_library_reads_them[True]; "
            "test_the_token_is_the_one_that_the_pooling_names; "
            "test_a_text_has_one_vector_whatever_it_is_padded_to"
        ),
        "evaluation/test_ranks.py": (
            "test_ranks_agree_with_one_process[3]; test_more_ranks_than_labels_or_queries"
        ),
        "fuzz/test_fuzz.py": "test_what_is_damaged_is_valid_before",
        "fuzz/test_hostile.py": "test_gzip_bomb[newlines]; test_zip_bomb_in_npz",
        "heads/test_step.py": "test_a_hundred_steps_are_those_of_autograd_and_sgd",
        "heads/test_head.py": (
            "test_with_the_policy_the_same_run_is_that_of_the_dense_table; "
            "test_squared_error_without_stabilising_diverges_and_the_guard_trips_first; "
            "test_float32_stays_with_float64"
        ),
        "integrations/annif/test_fitted.py": "test_a_model_is_fitted_kept_and_replaced",
        "objectives/margins/test_margin_of_positives.py": _DIFFERENCES,
        "objectives/losses/test_discriminative.py": "test_gradients_by_finite_differences",
        "objectives/test_catalogue.py": (
            "test_shards_give_what_one_process_gives[torch.float64-4]; "
            "test_shards_give_what_one_process_gives[torch.float32-4]"
        ),
        "objectives/test_masked_pairs.py": (
            "test_the_kernels[soft_top_k-k=positives-alpha=0.7-sampled]; "
            "test_the_kernels[soft_top_k-k=positives-alpha=0.7-all labels]"
        ),
        "objectives/test_shards.py": "test_ranks_agree_with_one_process[4]",
        "objectives/test_triton.py": (
            "test_shards_give_what_one_process_gives[3]; "
            "test_half_precision_is_accumulated_in_float32[dtype0-soft_top_k-k=positives-alpha=0.7]; "
            "test_values_and_gradients_for_any_shape[binary_cross_entropy-bias=0.0]; "
            "test_values_and_gradients_for_any_shape[supervised_contrastive-mean=out]; "
            "test_values_and_gradients_for_any_shape[soft_top_k-k=1.5]; "
            "test_values_and_gradients_for_any_shape[soft_top_k-k=positives-alpha=0.7]"
        ),
        "reports/test_page.py": "test_one_system_and_many; test_more_systems_than_columns_are_lines",
        "retrieval/test_exact.py": "test_scores_have_the_same_bits_whatever_the_tiles[96]",
        "retrieval/test_fast_scan.py": "test_the_best_are_among_few_candidates_of_many_dimensions",
        "retrieval/test_factories.py": (
            "test_a_compressed_index_says_that_its_scores_are_approximate[OPQ8,PQ8-0.3]; "
            "test_a_lossless_index_is_exact[OPQ4_32,Flat]"
        ),
        "retrieval/words/test_learning.py": "test_processes_learn_the_same_in_the_same_order",
        "scoring/fused/test_compile.py": (
            "test_a_cpu_without_the_interpreter_is_an_error_and_auto_is_tiled; "
            "test_kernels_compile_and_fit_without_atomics"
        ),
        "serving/test_server.py": "test_a_swap_fails_no_request_and_a_stop_finishes_what_runs",
        "test_extending.py": "test_the_commands_train",
        "test_pages.py": "test_the_commands_follow_one_another",
        "test_readme.py": (
            "test_commands_and_python_run; "
            "test_commands_of_the_docs_are_understood[benchmarks/data-sets.md]; "
            "test_commands_of_the_docs_are_understood[benchmarks/methods.md]; "
            "test_commands_of_the_docs_are_understood[benchmarks/objectives.md]; "
            "test_commands_of_the_docs_are_understood[benchmarks/training.md]; "
            "test_commands_of_the_docs_are_understood[extending.md]; "
            "test_commands_of_the_docs_are_understood[methods/dimensions.md]; "
            "test_commands_of_the_docs_are_understood[methods/distillation.md]; "
            "test_commands_of_the_docs_are_understood[methods/soft-label-queries.md]; "
            "test_commands_of_the_docs_are_understood[methods/frozen-labels.md]"
        ),
        "test_troubleshooting.py": "test_every_message_is_still_said",
        "test_wheel.py": (
            "test_the_wheel_has_every_file_of_the_package; test_commands_find_what_they_are_shipped_with; "
            "test_a_users_mypy_sees_the_types"
        ),
        "test_your_data.py": "test_commands_and_python_run",
        "training/test_compiled_run.py": "test_a_run_takes_the_steps_of_an_uncompiled_one",
        "training/test_dimensions.py": (
            "test_each_dimension_is_measured_and_a_killed_run_goes_on; "
            "test_a_short_prefix_learns_what_it_does_not_learn_by_itself"
        ),
        "training/test_label_texts.py": (
            "test_a_run_is_ranked_by_all_texts_and_resumes[lines-max]; "
            "test_a_run_is_ranked_by_all_texts_and_resumes[lines-top2]; "
            "test_a_run_is_ranked_by_all_texts_and_resumes[fields-max]; "
            "test_what_serves_a_model_ranks_by_its_fold[lines-max]; "
            "test_what_serves_a_model_ranks_by_its_fold[fields-max]; "
            "test_what_serves_a_model_ranks_by_its_fold[fields-top2]"
        ),
        "training/test_step_without_values.py": (
            "test_a_step_stays_on_its_device_and_asks_for_few_numbers; "
            "test_texts_of_many_lengths_are_asked_for_none[bert]; "
            "test_texts_of_many_lengths_are_asked_for_none[distilbert]; "
            "test_no_copy_to_the_device_is_waited_for[elastic arcface]; "
            "test_no_copy_to_the_device_is_waited_for[labels kept]"
        ),
        "training/batches/clusters/test_kept_vectors.py": (
            "test_ranks_cluster_as_one; test_a_run_encodes_only_what_no_step_has_and_is_resumed"
        ),
        "training/batches/memory/test_label_memory.py": (
            "test_a_sample_estimates_the_partition_function_without_bias[7]; "
            "test_a_sample_estimates_the_partition_function_without_bias[29]"
        ),
        "training/batches/memory/test_running_moments.py": "test_every_rank_holds_those_of_all[3]",
        "training/batches/pools/test_label_rows.py": "test_the_mean_weight_of_a_negative_is_one",
        "training/batches/pools/test_pool.py": (
            "test_corrected_pools_estimate_the_partition_function_without_bias; "
            "test_labels_are_drawn_as_often_as_is_said[3 strata]; "
            "test_labels_are_drawn_as_often_as_is_said[11 strata]; "
            "test_negatives_are_included_as_often_as_is_said"
        ),
        "training/batches/pools/test_unbiased.py": (
            "test_mined_labels_join_without_bias_and_with_less_variance[rank-options0]; "
            "test_mined_labels_join_without_bias_and_with_less_variance[score-options3]; "
            "test_masked_pairs_are_in_no_sum[alone-brought]; "
            "test_masked_pairs_are_in_no_sum[with mined labels and clusters-by chance]; "
            "test_masked_pairs_are_in_no_sum[with mined labels and clusters-brought]; "
            "test_labels_that_are_queries_of_themselves[with mined labels and clusters]; "
            "test_labels_that_are_queries_of_themselves[a positive of each row]; "
            "test_clustered_batches"
        ),
        "training/batches/test_batches.py": (
            "test_ranks_follow_the_curve_of_one[everything-2]; "
            "test_ranks_follow_the_curve_of_one[memory-3]; "
            "test_ranks_follow_the_curve_of_one[memory as moments-3]; "
            "test_ranks_follow_the_curve_of_one[two positives of each query and a memory-2]; "
            "test_a_run_resumes_on_another_number_of_ranks; "
            "test_learns_and_a_run_that_was_interrupted_goes_on_as_if_it_was_not[everything]; "
            "test_learns_and_a_run_that_was_interrupted_goes_on_as_if_it_was_not[memory]; "
            "test_learns_and_a_run_that_was_interrupted_goes_on_as_if_it_was_not[memory as moments]; "
            "test_learns_and_a_run_that_was_interrupted_goes_on_as_if_it_was_not[two positives of each query and a memory]; "  # noqa: E501
            "test_learns_and_a_run_that_was_interrupted_goes_on_as_if_it_was_not[mined]; "
            "test_learns_and_a_run_that_was_interrupted_goes_on_as_if_it_was_not[clusters]; "
            "test_learns_and_a_run_that_was_interrupted_goes_on_as_if_it_was_not[two positives of each query]; "  # noqa: E501
            "test_learns_and_a_run_that_was_interrupted_goes_on_as_if_it_was_not[sampled memory on disk]; "
            "test_a_memory_refreshed_each_step_equals_training_with_all_labels"
        ),
        "training/batches/test_label_queries.py": (
            "test_the_pool_knows_that_label_queries_bring_labels; "
            "test_a_weight_near_zero_trains_on_rows_alone"
        ),
        "training/callbacks/test_keep_best.py": "test_a_resumed_run_keeps_the_same_models",
        "training/run/test_survival.py": (
            "test_a_kill_at_any_write_loses_no_model_and_no_checkpoint; "
            "test_a_model_that_was_left_behind_is_replaced_whole"
        ),
        "training/test_frozen_labels_run.py": (
            "test_the_loss_is_that_of_encoding_labels_in_every_step; "
            "test_a_run_goes_on_from_a_checkpoint_without_the_label_tower; "
            "test_two_ranks_follow_the_curve_of_one"
        ),
        "training/test_lora_run.py": (
            "test_adapters_alone_are_trained_kept_and_resumed; "
            "test_a_checkpoint_of_other_frozen_weights_is_refused; "
            "test_the_gradient_cache_changes_nothing; test_two_ranks_follow_the_curve_of_one"
        ),
        "training/test_discriminative_run.py": (
            "test_it_resumes_with_the_means_that_it_had; test_two_ranks_follow_the_curve_of_one; "
            "test_it_goes_with_a_memory_and_label_queries"
        ),
        "training/test_frozen_run.py": (
            "test_a_run_with_kept_layers_is_resumed_and_leaves_an_ordinary_model"
        ),
        "training/test_memory_limit.py": (
            "test_the_smallest_micro_batch_is_a_text; test_ranks_stay_in_step_when_one_is_short[replay]; "
            "test_ranks_stay_in_step_when_one_is_short[first pass]; "
            "test_a_halved_run_is_the_run_that_was_small_from_the_start"
        ),
        "training/test_objective.py": (
            "test_every_objective_trains; test_a_margin_of_the_recipe_is_in_the_losses_and_in_no_metric"
        ),
        "training/learned/test_residual_table.py": (
            "test_a_resumed_run_has_the_residuals_of_one_that_was_not_stopped; "
            "test_two_ranks_learn_the_residuals_of_one"
        ),
        "training/test_distilled_run.py": "test_it_resumes_as_if_it_was_not_cut_and_not_with_other_teachers",
        "training/test_table_dtype.py": (
            "test_it_learns_as_float32_does; test_a_killed_run_goes_on_to_the_last_bit[True]"
        ),
        "training/test_trainer.py": (
            "test_micro_batches_change_nothing; test_the_best_model_is_calibrated_by_its_validation"
        ),
        "training/test_tower_runs.py": (
            "test_a_run_learns_resumes_and_leaves_its_towers[prompts]; "
            "test_a_run_learns_resumes_and_leaves_its_towers[prompts left out]; "
            "test_a_run_learns_resumes_and_leaves_its_towers[last token]; "
            "test_a_run_learns_resumes_and_leaves_its_towers[projected tied transformer]; "
            "test_a_run_learns_resumes_and_leaves_its_towers[projected transformer]"
        ),
        "training/test_world.py": (
            "test_a_run_resumes_on_another_number_of_ranks; test_two_and_three_ranks_follow_the_curve_of_one"
        ),
        "tuning/test_ensemble.py": "test_a_fit_ranks_with_what_it_chose",
        "tuning/test_fitting.py": (
            "test_a_final_training_that_was_cut_short_goes_on_as_what_it_began_as; "
            "test_three_labels_and_a_handful_of_rows_are_enough; test_the_test_split_decides_nothing"
        ),
    }.items()
}


def is_thorough(file: str, function: str, case: str) -> bool:
    """Whether a test is of the thorough ones.

    Args:
        file: As seen from the folder of the tests.
        function: Its name.
        case: Its name with the case, where it has several.
    """
    return not THOROUGH.get(file, frozenset()).isdisjoint({function, case})
