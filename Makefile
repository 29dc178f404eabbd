# Every target is one call of run.py, which holds the list of what each does: make help
#   make stage 4                               a stage or a diff takes its number as a word, or as N=4
#   make stage 4 ARGS="--steps 500 --seed 7"   ARGS is passed on as it is
PYTHON ?= python3
ARGS :=

.DEFAULT_GOAL := help
TARGETS := help stages stage table test data diff readme reference bench lint
.PHONY: $(TARGETS)

# The words after `stage` and `diff` are not targets: they become N, and doing them is nothing.
ifneq ($(filter stage diff,$(firstword $(MAKECMDGOALS))),)
  WORDS := $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS))
  N := $(WORDS)
  .PHONY: $(WORDS)
  $(filter-out $(TARGETS),$(WORDS)): ; @:
endif

help stages table test data readme reference bench lint:
	@$(PYTHON) run.py $@ $(ARGS)

stage diff:
	@$(PYTHON) run.py $@ $(N) $(ARGS)
