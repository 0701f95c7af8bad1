"""Runs CUDA kernels on the CPU, for tests: build compiles a .cu file with g++, Kernel.launch runs it on NumPy arrays."""

from __future__ import annotations

from tests.emulator.build import EmulatorUnavailableError, build
from tests.emulator.launch import SCHEDULES, EmulatorError, Kernel, Schedule

__all__ = ["SCHEDULES", "EmulatorError", "EmulatorUnavailableError", "Kernel", "Schedule", "build"]
