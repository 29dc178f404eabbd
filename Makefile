# Every target is one call of run.py, which holds the list of what each does: make help
#   make stage 4                               a stage or a diff takes its number as a word, or as N=4
#   make stage 4 ARGS="--steps 500 --seed 7"   ARGS is passed on as it is
PYTHON ?= python3
ARGS :=

.DEFAULT_GOAL := help
# Those take a word that is no target (a stage's number): it becomes N, and doing it is nothing.
WITH_N := stage ablate notebook diff
ALONE := help stages extras seeds published table bench plots notebooks check-setup \
	test data readme reference lint
TARGETS := $(ALONE) $(WITH_N) score
.PHONY: $(TARGETS)

ifneq ($(filter $(WITH_N) score,$(firstword $(MAKECMDGOALS))),)
  WORDS := $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS))
  N := $(WORDS)
  .PHONY: $(WORDS)
  $(filter-out $(TARGETS),$(WORDS)): ; @:
endif

$(ALONE):
	@$(PYTHON) run.py $@ $(ARGS)

$(WITH_N):
	@$(PYTHON) run.py $@ $(N) $(ARGS)

score:
	@$(PYTHON) run.py score $(N) $(if $(NAME),"NAME=$(NAME)") $(ARGS)
