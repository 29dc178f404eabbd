# Every target calls run.py. `make help` says what each one does.
#   make stage 4                               give a stage's number as a word or as N=4
#   make stage 4 ARGS="--steps 500 --seed 7"   ARGS is passed on unchanged
#   make start 3 EXERCISE=softmax              one exercise of a stage
#   make start extras                          a set of exercises, even if a target has its name
#   make stage 4 PYTHON=python3.12             PYTHON is the name or the path of one program
ifeq ($(strip $(PYTHON)),)
  # On Windows, python3 may only open the store. Python's installer brings py.
  PYTHON := $(if $(filter Windows_NT,$(OS)),py,python3)
endif
ARGS :=

.DEFAULT_GOAL := help
# These targets take a word after them, such as a stage's number, which becomes N. make takes that
# word for a target as well, so the word gets a rule that does nothing.
WITH_N := stage start check watch hint solution predict museum class ablate notebook diff \
	generate
ALONE := stages table extras families explore plots check-setup test data help \
	seeds published tries notebooks readme reference bench site lint
TARGETS := $(ALONE) $(WITH_N) score
.PHONY: $(TARGETS)

ifneq ($(filter $(WITH_N) score,$(firstword $(MAKECMDGOALS))),)
  WORDS := $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS))
  N := $(WORDS)
  ALONE := $(filter-out $(WORDS),$(ALONE))
  .PHONY: $(WORDS)
  $(filter-out $(WITH_N) score,$(WORDS)): ; @:
endif

$(ALONE):
	@"$(PYTHON)" run.py $@ $(ARGS)

$(WITH_N):
	@"$(PYTHON)" run.py $@ $(N) $(if $(EXERCISE),--exercise $(EXERCISE)) $(ARGS)

score:
	@"$(PYTHON)" run.py score $(N) $(if $(NAME),"NAME=$(NAME)") $(ARGS)
