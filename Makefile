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
N :=
NAME :=
EXERCISE :=
ARGS :=
MAKEFLAGS += --no-builtin-rules

.DEFAULT_GOAL := help
# These targets take a word after them, such as a stage's number, which becomes N. make takes that
# word for a target as well, so any word gets a rule that does nothing.
WITH_N := stage start check watch hint solution predict museum class ablate notebook diff score \
	generate
ALONE := stages table extras modern families explore plots check-setup test data help \
	seeds published tries notebooks readme reference bench site lint
TARGETS := $(ALONE) $(WITH_N)

ifneq ($(filter $(WITH_N),$(firstword $(MAKECMDGOALS))),)
  N := $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS))
  TARGETS := $(firstword $(MAKECMDGOALS))
  %: ALWAYS ; @:
  Makefile: ;
endif

# run.py reads these as they were given. In a command, the shell would act on their quotes, dollars
# and semicolons. To export the variables themselves, make would act on the dollars.
unexport N NAME EXERCISE ARGS
export ZERO_N := $(value N)
export ZERO_NAME := $(value NAME)
export ZERO_EXERCISE := $(value EXERCISE)
export ZERO_ARGS := $(value ARGS)

.PHONY: $(TARGETS) ALWAYS
$(TARGETS):
	@"$(PYTHON)" run.py $@
