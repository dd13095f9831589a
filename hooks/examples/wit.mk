# What a hook is built from: a world of its own, and the interface it includes.
WIT := $(wildcard ../../../wit/0.1.0/*.wit)

build/wit: ../world.wit $(WIT)
	rm -rf $@
	mkdir -p $@/deps/sluice-hooks
	cp ../world.wit $@
	cp $(WIT) $@/deps/sluice-hooks
