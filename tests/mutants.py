"""Takes safeguards out, one at a time, and makes sure that a test turns red for each.

``python tests/mutants.py [NAME...]``: a mutant is a copy of the source with one text replaced. The tests
that are to notice it run on the copy, and first on the source as it is, where they have to pass. Exits with
1 where a mutant survives, or where its text is not in the source any more.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from attrs import field, frozen

ROOT = Path(__file__).resolve().parents[1]
#: Seconds that the tests of one mutant may take: one that hangs is noticed, too.
LIMIT = 600


@frozen
class Mutant:
    """A safeguard that is taken out."""

    name: str
    #: Below src/bunsui.
    file: str
    old: str
    new: str
    #: What pytest runs.
    tests: tuple[str, ...] = field(converter=tuple)


MUTANTS = (
    Mutant(
        "no action of a policy gains a resource by another's",
        "aws/policies.py",
        "resources.setdefault((tuple(sorted(of_resource)), conditions), set()).add(resource)",
        "resources.setdefault((tuple(sorted(set().union(*actions.values()))), conditions), set())"
        ".add(resource)",
        ("tests/unit/aws/test_policies.py",),
    ),
    Mutant(
        "what can't be named is no part of a policy",
        "runner/sessions/allowing.py",
        "if unnamed and not is_partial:",
        "if False:",
        ("tests/unit/runner/sessions/test_allowing.py",),
    ),
    Mutant(
        "a run under its policy can tell that a task has left nothing",
        "runner/attempts/artifact_bucket.py",
        "        if leaves_output:",
        "        if False:",
        ("tests/integration/test_iam_policy.py",),
    ),
    Mutant(
        "a role's own calls are not those of who takes it",
        "runner/sessions/allowing.py",
        "if own is not None and own != self._asked.role:",
        "if False:",
        ("tests/unit/runner/sessions/test_allowing.py",),
    ),
    Mutant(
        "a session that rests forgets the secrets that AWS gave it",
        "runner/driving/driver.py",
        "        live.secrets.forget()\n",
        "",
        ("tests/integration/test_secrets_at_aws.py",),
    ),
    Mutant(
        "a secret that is asked for while its session ends is not kept",
        "runner/attempts/kept_secrets.py",
        "if isinstance(answer, str) and not self._is_over:",
        "if isinstance(answer, str):",
        ("tests/unit/runner/attempts/test_secrets.py",),
    ),
    Mutant(
        "jobs that need a secret of AWS at once ask for it once",
        "runner/attempts/kept_secrets.py",
        "            asking = self._asking.get(name)",
        "            asking = None",
        ("tests/integration/test_secrets_at_aws.py",),
    ),
    Mutant(
        "a session without credentials for its secrets pauses",
        "runner/attempts/secrets.py",
        "if is_missing(error):",
        "if False:",
        ("tests/integration/test_secrets_at_aws.py",),
    ),
    Mutant(
        "a deployed function reads no other object than an event",
        "aws/deployed.py",
        'if hashlib.sha256(data).hexdigest() != found["digest"]:',
        "if False:",
        ("tests/unit/aws/test_deployed.py",),
    ),
    Mutant(
        "a deployed function leaves nothing of its call for the next",
        "aws/deployed.py",
        "            current.reset(token)",
        "            pass",
        ("tests/unit/aws/test_deployed.py",),
    ),
    Mutant(
        "a name that two plugins claim is neither's",
        "plugins/registry.py",
        "for name, (_, thing) in found.items() if name not in claimed}",
        "for name, (_, thing) in found.items()}",
        ("tests/unit/plugins/test_installed.py",),
    ),
    Mutant(
        "a secret whose source is missing breaks only what needs it",
        "runner/attempts/secrets.py",
        """                    self._missing[name] = unavailable(what, why)
                    continue""",
        "                    raise unavailable(what, why)",
        ("tests/unit/plugins/test_installed.py",),
    ),
    Mutant(
        "a poll that hangs is not waited for",
        "runner/attempts/watching.py",
        "if now < poll.began + self._patience:",
        "if True:",
        ("tests/integration/test_remote_faults.py",),
    ),
    Mutant(
        "what one region does not answer holds up no other",
        "runner/attempts/remotes.py",
        "        group = group_of(kind, work.handle.value)\n",
        '        group = ""\n',
        ("tests/unit/runner/attempts/test_remotes.py",),
    ),
    Mutant(
        "what was throttled is submitted again without a look",
        "runner/attempts/remote_work.py",
        '    "busy": Kind.BUSY,\n',
        "",
        ("tests/unit/runner/attempts/test_remotes.py",),
    ),
    Mutant(
        "calls that are made again have a budget",
        "performance/retrying.py",
        "        if self._tokens < 1:\n            return self._backoff.longest\n",
        "",
        ("tests/unit/performance/test_retrying.py", "tests/unit/runner/attempts/test_remotes.py"),
    ),
    Mutant(
        "what may run at a service is not given up without a word",
        "runner/attempts/remotes.py",
        "        work.is_absent = not work.may_be_there\n",
        "        work.is_absent = True\n",
        ("tests/unit/runner/attempts/test_remotes.py",),
    ),
    Mutant(
        "without credentials nothing starts",
        "engine/resting.py",
        "if state.stall is not None and stopped(state) is None:",
        "if False:",
        ("tests/unit/engine/test_stalling.py", "tests/integration/test_stalled.py"),
    ),
    Mutant(
        "a pause waits for nothing that nobody can follow",
        "engine/under_way.py",
        "return len(self.running) == len(self.stalled)",
        "return not self.running",
        ("tests/unit/engine/test_stalling.py", "tests/integration/test_stalled.py"),
    ),
    Mutant(
        "what runs in a paused session is not asked for",
        "engine/decide.py",
        "if self.state.status is not SessionStatus.PAUSED and (asked",
        "if (asked",
        ("tests/unit/engine/test_stalling.py",),
    ),
    Mutant(
        "what is to be stopped is waited for, whatever it lacks",
        "engine/under_way.py",
        "        self._to_stop = dict(self.running)\n        self.stalled.clear()\n",
        "        self._to_stop = dict(self.running)\n",
        ("tests/unit/engine/test_stalling.py",),
    ),
    Mutant(
        "nothing is recorded of work in a paused session",
        "runner/driving/driver.py",
        "            self._attempts.leave(live)  # Of what",
        "            pass  # Of what",
        ("tests/integration/test_stalled.py",),
    ),
    Mutant(
        "a paused session whose work runs on goes on before it is cancelled",
        "runner/control.py",
        'if paused and request.action == "cancel" and live.machine.running:',
        "if False:",
        ("tests/integration/test_stalled.py",),
    ),
    Mutant(
        "what has no credentials uses up no retry",
        "runner/attempts/missing.py",
        'return type(error) is AwsError and error.kind == "credentials"',
        "return False",
        ("tests/integration/test_stalled.py",),
    ),
    Mutant(
        "what hangs takes no thread of another group",
        "runner/attempts/watching.py",
        "batches += alone[: max(ALONE - len(asked), 0)]",
        "batches += alone",
        ("tests/unit/runner/attempts/test_remotes.py",),
    ),
    Mutant(
        "a poll that is due wakes the driver",
        "runner/driving/driver.py",
        "min(self._releases.due, self._attempts.due, self._next_look if self._lives else math.inf)",
        "min(self._releases.due, self._next_look if self._lives else math.inf)",
        ("tests/integration/test_remote_jobs.py",),
    ),
    Mutant(
        "who comes second with a key waits until the first has begun",
        "runner/driving/driver.py",
        "live.give_way(driven)",
        "self._stand_down(live)",
        ("tests/integration/test_driver_faults.py",),
    ),
    Mutant(
        "what hangs by itself is not polled again",
        "runner/attempts/watching.py",
        "if work in self._suspects and work not in asked]",
        "if work in self._suspects]",
        ("tests/integration/test_remote_faults.py",),
    ),
    Mutant(
        "an installed plugin that exits is disabled",
        "plugins/registry.py",
        "except BaseException as error:  # Foreign code: one bad",
        "except Exception as error:  # Foreign code: one bad",
        ("tests/unit/diagnosis/test_installation.py",),
    ),
    Mutant(
        "a hook that exits disables its plugin alone",
        "plugins/registry.py",
        """        except BaseException as error:  # Foreign code.
            fault = registration""",
        """        except Exception as error:  # Foreign code.
            fault = registration""",
        ("tests/unit/plugins/test_installed.py",),
    ),
    Mutant(
        "two plugins can't have one name",
        "plugins/registry.py",
        "raise claim.error",
        "pass",
        ("tests/unit/plugins/test_registry.py",),
    ),
    Mutant(
        "what is given is asked when it is given",
        "plugins/registry.py",
        "if kind.hook in added.hooks:",
        "if False:",
        ("tests/unit/plugins/test_contributions.py",),
    ),
    Mutant(
        "a definition is not blamed for a disabled plugin",
        "dsl/loader.py",
        "if validated.lacks_types and (why := left_out(job_types)):",
        "if (why := left_out(job_types)) and False:",
        ("tests/unit/plugins/test_installed.py",),
    ),
    Mutant(
        "threads do not ask a plugin at once",
        "plugins/registry.py",
        """        with self._asking:
            found, claims""",
        """        if True:
            found, claims""",
        ("tests/unit/plugins/test_registry.py",),
    ),
    Mutant(
        "a stub needs no binding",
        "runner/sessions/preflight.py",
        "kind.binding_field is None or stands_in(job) is not None",
        "kind.binding_field is None",
        ("tests/unit/testing/stubbing/test_runs.py",),
    ),
    Mutant(
        "what a cache has does not hide the calls of a stub",
        "runner/attempts/starting.py",
        "            if stand_in is None:\n",
        "            if True:\n",
        ("tests/unit/testing/stubbing/test_runs.py",),
    ),
    Mutant(
        "what really runs beside stubs has a deadline of the machine's clock",
        "runner/attempts/host.py",
        "if deadline is None or self._machine_time is None",
        "if True",
        ("tests/unit/testing/stubbing/test_runs.py",),
    ),
    Mutant(
        "an assertion that fails in a stub fails the test",
        "testing/fakes/escaped.py",
        "            self.keep(error)\n",
        "            pass\n",
        ("tests/unit/testing/stubbing/test_stubs.py",),
    ),
    Mutant(
        "what is to come to nothing ends a stubbed run",
        "testing/stubbing/driver.py",
        "if seconds is not None and self._in_vain < IN_VAIN:",
        "if seconds is not None and self._in_vain < IN_VAIN * 1_000:",
        ("tests/unit/testing/fakes/test_service.py",),
    ),
    Mutant(
        "time passes by what there is to wait for then",
        "testing/stubbing/driver.py",
        "self._pass_time(self._pause())",
        "self._pass_time(pause)",
        ("tests/unit/testing/stubbing/test_driver.py",),
    ),
    Mutant(
        "a stub that was stopped while it was called waits for nothing",
        "testing/stubbing/work.py",
        "            if work.begin_wait():\n",
        "            if work.begin_wait() and False:\n",
        ("tests/unit/testing/stubbing/test_driver.py",),
    ),
    Mutant(
        "what ends a test leaves its run at once",
        "testing/stubbing/surroundings.py",
        "                each.raise_first()\n",
        "                pass\n",
        ("tests/unit/testing/stubbing/test_escaping.py",),
    ),
    Mutant(
        "a session of somebody else is not taken for a run's own",
        "testing/stubbing/runner.py",
        "if not self._shares_store or self._has_begun(session):",
        "if True:",
        ("tests/unit/testing/stubbing/test_runner.py",),
    ),
    Mutant(
        "a warning of observers comes when nothing is left to close",
        "runner/assembly.py",
        "        self.observers.close(CLOSING)\n",
        "        self.observers.close(CLOSING)\n        self.observers.warn()\n",
        ("tests/integration/plugins/test_plugin_observers.py",),
    ),
    Mutant(
        "an exception whose text raises fails its job",
        "model/text.py",
        "    except BaseException as broken:  # Foreign code: the __str__ of somebody's class.",
        "    except Exception as broken:",
        ("tests/integration/plugins/test_plugin_faults.py",),
    ),
    Mutant(
        "an exception without a traceback fails its job",
        "local/log_records.py",
        "    except BaseException as broken:",
        "    except ZeroDivisionError as broken:",
        ("tests/integration/plugins/test_plugin_faults.py",),
    ),
    Mutant(
        "what a service gives that can't be read fails its job",
        "runner/attempts/remote_work.py",
        "        except BaseException as error:  # The border: what the type gave may raise anything.",
        "        except ZeroDivisionError as error:",
        ("tests/integration/plugins/test_plugin_faults.py",),
    ),
    Mutant(
        "a handle is bounded",
        "runner/attempts/remote_work.py",
        "if handle.size > MAX_HANDLE:",
        "if False:",
        ("tests/integration/plugins/test_plugin_faults.py",),
    ),
    Mutant(
        "a cancel that is async has not stopped anything",
        "runner/attempts/remote_work.py",
        '    if hasattr(answer, "__await__"):',
        "    if False:",
        ("tests/integration/plugins/test_plugin_faults.py",),
    ),
    Mutant(
        "a type whose on_lost is junk has somebody asked",
        "runner/attempts/calls.py",
        "if job_type.on_lost in _WORDS:",
        "if True:",
        ("tests/integration/plugins/test_plugin_surroundings.py",),
    ),
    Mutant(
        "work that is submitted again is the same",
        "runner/attempts/remote_work.py",
        "            parameters=copied(made.parameters),",
        "            parameters=made.parameters,",
        ("tests/integration/plugins/test_plugin_mutation.py",),
    ),
    Mutant(
        "no check changes a definition",
        "dsl/validator.py",
        "own = copied(dict(job))",
        "own = job",
        ("tests/integration/plugins/test_plugin_mutation.py",),
    ),
    Mutant(
        "who says that a job can't run here does not change it",
        "runner/sessions/preflight.py",
        "kind.unavailable(copied(dict(options)))",
        "kind.unavailable(options)",
        ("tests/integration/plugins/test_plugin_mutation.py",),
    ),
    Mutant(
        "no observer changes an output",
        "model/json.py",
        """        raise AttributeError(f"a {type(self).__name__} can't be changed: its '{name}' neither")

    def __delattr__""",
        """        object.__setattr__(self, name, value)

    def __delattr__""",
        ("tests/integration/plugins/test_plugin_mutation.py",),
    ),
    Mutant(
        "an observer that hangs is dropped",
        "runner/driving/observers.py",
        "if began is not None and now - began > self._limits.budget:",
        "if False:",
        ("tests/unit/runner/driving/test_observers.py",),
    ),
    Mutant(
        "what waits for an observer is bounded",
        "runner/driving/observers.py",
        "if self._taken_in - self._shown >= self._limits.capacity:",
        "if False:",
        ("tests/unit/runner/driving/test_observers.py",),
    ),
    Mutant(
        "an observer that exits is shown the next event",
        "runner/driving/observers.py",
        "except BaseException as error:  # Foreign code: it may raise SystemExit, too.",
        "except Exception as error:",
        ("tests/unit/runner/driving/test_observers.py",),
    ),
    Mutant(
        "an observer that always fails is dropped",
        "runner/driving/observers.py",
        "if self._failed_in_a_row >= self._limits.failures:",
        "if False:",
        ("tests/unit/runner/driving/test_observers.py",),
    ),
    Mutant(
        "failures of observers do not flood the log",
        "runner/driving/observers.py",
        "if self._failed <= LOGGED or not self._failed & (self._failed - 1):",
        "if True:",
        ("tests/unit/runner/driving/test_observers.py",),
    ),
    Mutant(
        "no observer changes what others see",
        "runner/driving/observers.py",
        "map(detached, commit.events) if commit.can_be_changed else commit.events",
        "commit.events",
        ("tests/unit/runner/driving/test_observers.py",),
    ),
    Mutant(
        "a changed job does not hand its output on",
        "runner/sessions/reruns.py",
        "if before.work != now.work:",
        "if False:",
        ("tests/integration/test_rerun.py",),
    ),
    Mutant(
        "what is upstream counts for a job's digest",
        "runner/sessions/digests.py",
        "_sha256((*made, self.upstream, self.session))",
        "_sha256((*made, self.session))",
        ("tests/unit/runner/sessions/test_digests.py",),
    ),
    Mutant(
        "what a stub returned is not reused where the job is not bound to it",
        "runner/sessions/digests.py",
        "self.for_each, self.binding)",
        "self.for_each)",
        ("tests/integration/test_rerun.py",),
    ),
    Mutant(
        "what follows a job that had failed runs, whatever is chosen",
        "runner/sessions/reruns.py",
        "(settled if again else open_).add(job)",
        "settled.add(job)",
        ("tests/integration/test_rerun.py",),
    ),
    Mutant(
        "what follows a job whose output is gone runs",
        "engine/reuses.py",
        "            stack += fresh\n",
        "            pass\n",
        ("tests/unit/engine/test_reuse.py",),
    ),
    Mutant(
        "another session that has the id of the one before hands nothing on",
        "runner/sessions/reruns.py",
        "state.created.at <= created.at:",
        "True:",
        ("tests/integration/test_rerun.py",),
    ),
    Mutant(
        "a takeover does not tidy away what its own driver writes",
        "runner/attempts/artifact_folder.py",
        "if not path.name.startswith(self._temporary):",
        "if True:",
        ("tests/unit/runner/attempts/test_artifacts.py",),
    ),
    Mutant(
        "a damaged object does not stand for the content",
        "runner/attempts/artifact_bucket.py",
        "if not self._bucket.put(key, content, steady) and not is_there():",
        "if not self._bucket.put(key, content, steady) and False:",
        ("tests/unit/runner/attempts/test_artifact_bucket.py",),
    ),
    Mutant(
        "no object is written over",
        "aws/s3.py",
        'condition = {} if replace else {"IfNoneMatch": "*"}',
        "condition: dict[str, Any] = {}",
        ("tests/unit/runner/attempts/test_artifact_bucket.py",),
    ),
    Mutant(
        "no parts are left to be billed",
        "aws/s3.py",
        "        except BaseException:  # Only to clean up: it goes on.\n            self._abort(upload)\n",
        "        except BaseException:  # Only to clean up: it goes on.\n",
        ("tests/unit/runner/attempts/test_artifact_bucket.py",),
    ),
    Mutant(
        "a copy is checked",
        "runner/attempts/artifact_bucket.py",
        "if copied == encoded(bytes.fromhex(artifact.sha256)):",
        "if copied is not None:",
        ("tests/unit/runner/attempts/test_artifact_bucket.py",),
    ),
    Mutant(
        "what is refused is not asked again",
        "runner/attempts/artifact_bucket.py",
        "if patience is None or error.kind not in PASSING:",
        "if patience is None:",
        ("tests/unit/runner/attempts/test_artifact_bucket.py",),
    ),
    Mutant(
        "a task that may be forgotten is not started again",
        "jobs/ecs.py",
        "now - call.started_at < TOKEN_AGE",
        "True",
        ("tests/unit/jobs/test_ecs.py",),
    ),
    Mutant(
        "a task that is not shown is waited for",
        "jobs/aws_remote.py",
        "if now - since < MISSING_PATIENCE:",
        "if False:",
        ("tests/unit/jobs/test_ecs.py",),
    ),
    Mutant(
        "a container without an exit code has failed",
        "jobs/ecs_task.py",
        "if code == 0:",
        "if not code:",
        ("tests/unit/jobs/test_ecs.py",),
    ),
    Mutant(
        "what a service may have, and does not show, is looked for before it is given up",
        "runner/attempts/remotes.py",
        "not (isinstance(answer, NeverRan) and answer.is_certain)",
        "not isinstance(answer, NeverRan)",
        ("tests/unit/runner/attempts/test_remotes.py",),
    ),
    Mutant(
        "an output that may not be read fails no task",
        "jobs/aws_output.py",
        'if error.kind == "refused" and not is_denied(error):',
        'if error.kind == "refused":',
        ("tests/unit/jobs/test_ecs.py",),
    ),
    Mutant(
        "what has been begun is asked for where it runs",
        "jobs/ecs.py",
        'task.partition(":ecs:")[2].partition(":")[0] or options.get("region")',
        'options.get("region")',
        ("tests/unit/jobs/test_ecs.py",),
    ),
    Mutant(
        "no poll reads outputs for long",
        "jobs/aws_output.py",
        "elif self._runner.clock.monotonic() <= read_by:",
        "else:",
        ("tests/unit/jobs/test_ecs.py",),
    ),
    Mutant(
        "a polling error fails no job",
        "jobs/aws_remote.py",
        'error.kind = "open"',
        "pass",
        ("tests/unit/jobs/test_ecs.py",),
    ),
    Mutant(
        "an execution whose name is taken is followed",
        "jobs/step_function.py",
        'if error.code != "ExecutionAlreadyExists":',
        "if True:",
        ("tests/unit/jobs/test_step_function.py",),
    ),
    Mutant(
        "an execution whose name may be forgotten is not started again",
        "jobs/step_function.py",
        "now - call.started_at < NAME_AGE",
        "True",
        ("tests/unit/jobs/test_step_function.py",),
    ),
    Mutant(
        "an express state machine is not started",
        "jobs/step_function.py",
        'if answer.get("type") == "EXPRESS":',
        "if False:",
        ("tests/unit/jobs/test_step_function.py",),
    ),
    Mutant(
        "no execution starves where each is looked at",
        "jobs/looks.py",
        "self._last[work] = self._looks",
        "pass",
        ("tests/unit/jobs/test_step_function_polling.py",),
    ),
    Mutant(
        "what is not among those that run is looked at",
        "jobs/step_function.py",
        "if arn not in running]",
        "if not running]",
        ("tests/unit/jobs/test_step_function_polling.py",),
    ),
    Mutant(
        "a Batch job that is not listed is looked for before it counts as never submitted",
        "jobs/aws_lookup.py",
        "if now - since.began < self.shown_within:",
        "if False:",
        ("tests/unit/jobs/test_batch.py",),
    ),
    Mutant(
        "a Batch job that may be forgotten is not submitted again",
        "jobs/aws_lookup.py",
        ">= self.kept_for:",
        ">= self.kept_for * 100:",
        ("tests/unit/jobs/test_batch.py",),
    ),
    Mutant(
        "Batch itself makes one attempt",
        "jobs/batch_request.py",
        '"retryStrategy": ONCE,',
        "",
        ("tests/unit/jobs/test_batch.py",),
    ),
    Mutant(
        "a Batch job whose name differs in its case is another one",
        "jobs/batch.py",
        ' if job["jobName"] == key]',
        "]",
        ("tests/unit/jobs/test_batch.py",),
    ),
    Mutant(
        "a run of a Glue job that can't be stopped is told of",
        "jobs/glue.py",
        'for each in answer.get("Errors", []):',
        "for each in []:",
        ("tests/unit/jobs/test_glue.py",),
    ),
    Mutant(
        "an answer of Glue that says nothing is no refusal",
        "aws/errors.py",
        " or code in OPEN_OF.get(service, ())",
        "",
        ("tests/unit/jobs/test_glue.py",),
    ),
    Mutant(
        "a Glue job takes no secrets as its input",
        "jobs/glue.py",
        'frozenset({"arguments", "parameters"})',
        'frozenset({"arguments"})',
        ("tests/unit/jobs/test_glue.py",),
    ),
    Mutant(
        "an append in DynamoDB goes behind the last one only",
        "stores/dynamodb_histories.py",
        'condition = "gen = :gen AND pos = :was"',
        'condition = "gen = :gen AND :was = :was"',
        ("tests/unit/stores/test_dynamodb.py::TestDynamoDbStore::test_positions_are_dense",),
    ),
    Mutant(
        "an append in DynamoDB whose answer was lost is known by its id",
        "stores/dynamodb_histories.py",
        'return bool(found.get("id") == {"S": commit.id})',
        "return False",
        ("tests/unit/stores/test_dynamodb.py::test_an_append_whose_answer_was_lost",),
    ),
    Mutant(
        "a put in DynamoDB whose answer was lost is no conflict",
        "stores/dynamodb_documents.py",
        'found.get("wid") == {"S": by}',
        "False",
        ("tests/unit/stores/test_dynamodb.py::test_a_put_whose_answer_was_lost",),
    ),
    Mutant(
        "a table of a later version is left alone",
        "stores/dynamodb_table.py",
        "if version > SCHEMA_VERSION:",
        "if False:",
        ("tests/unit/stores/test_dynamodb.py::test_a_later_version",),
    ),
    Mutant(
        "a history in DynamoDB is read as a whole or not at all",
        "stores/dynamodb_histories.py",
        "        if after != found.position:\n",
        "        if False:\n",
        ("tests/unit/stores/test_dynamodb.py::test_a_history_that_is_removed_while_it_is_read",),
    ),
    Mutant(
        "reads in DynamoDB are consistent",
        "stores/dynamodb_documents.py",
        '"Keys": keys, "ConsistentRead": True',
        '"Keys": keys',
        ("tests/unit/stores/test_dynamodb.py::test_reads_are_consistent",),
    ),
    Mutant(
        "a function is called again whose answer was lost",
        "jobs/aws_lambda.py",
        "and lost < MAX_LOST",
        "and lost < 1",
        ("tests/unit/jobs/test_lambda.py",),
    ),
    Mutant(
        "a lost answer is a matter of on_lost",
        "jobs/aws_lambda.py",
        'call.on_lost == "rerun" and lost',
        "lost",
        ("tests/unit/jobs/test_lambda.py",),
    ),
    Mutant(
        "jobs take roles of the list only",
        "aws/connections.py",
        "caller.role not in allowed",
        "not allowed",
        ("tests/unit/aws/test_connections.py",),
    ),
    Mutant(
        "credentials that have expired are looked up anew",
        "aws/connections.py",
        "is_first = client is None",
        "is_first = False",
        ("tests/unit/aws/test_connections.py",),
    ),
    Mutant(
        "botocore repeats nothing",
        "aws/connections.py",
        'retries={"total_max_attempts": 1, "mode": "standard"},',
        "",
        ("tests/unit/aws/test_connections.py",),
    ),
    Mutant(
        "an output is read below its own place only",
        "runner/attempts/artifact_bucket.py",
        "if url.startswith(begin) else None",
        "if True else None",
        ("tests/unit/runner/attempts/test_artifact_bucket.py",),
    ),
    Mutant(
        "an output that can't be read for now fails no job",
        "expressions/resolution.py",
        "    except Unread:\n        raise\n",
        "",
        ("tests/integration/test_artifacts_on_s3.py",),
    ),
    Mutant(
        "what runs is recorded before an output that can't be read sets the session aside",
        "runner/driving/reads.py",
        "if is_over and not live.works and not live.events:",
        "if is_over:",
        ("tests/integration/test_artifacts_on_s3.py",),
    ),
    Mutant(
        "no plan promises an artifact that is gone",
        "runner/attempts/artifact_folder.py",
        '            return "is gone"\n        except OSError:',
        "            return None\n        except OSError:",
        ("tests/integration/test_artifacts.py", "tests/unit/runner/attempts/test_caching.py"),
    ),
    Mutant(
        "what was to be taken over and is gone runs",
        "runner/sessions/reruns.py",
        "    if found is None:\n        created",
        "    if False:\n        created",
        ("tests/integration/test_rerun.py",),
    ),
    Mutant(
        "what a job says is escaped in the table",
        "cli/watch_table.py",
        "Text(printable(progress[:200])),",
        "Text(progress[:200]),",
        ["tests/unit/cli/test_watch_table.py"],
    ),
    Mutant(
        "a session in the background ignores the end of its terminal",
        "cli/background.py",
        "signal.signal(signal.SIGHUP, signal.SIG_IGN)",
        "pass",
        ["tests/e2e/test_background.py"],
    ),
    Mutant(
        "a session in the background has a terminal session of its own",
        "cli/background.py",
        "start_new_session=True",
        "start_new_session=False",
        ["tests/e2e/test_background.py"],
    ),
    Mutant(
        "only what has ended is pruned",
        "runner/sessions/pruning.py",
        "ended = summary.finished_at if summary.status.is_terminal else None",
        "ended = summary.finished_at or summary.created_at",
        ["tests/unit/runner/sessions/test_pruning.py"],
    ),
    Mutant(
        "a name from the index that is no id never becomes a folder",
        "runner/sessions/pruning.py",
        "if ended is None or not _ID.match(session):",
        "if ended is None:",
        ["tests/unit/runner/sessions/test_pruning.py"],
    ),
    Mutant(
        "one at a time prunes a store",
        "runner/sessions/pruning.py",
        "if found is not None and not is_dead(found.value):",
        "if False:",
        ["tests/unit/runner/sessions/test_pruning.py"],
    ),
    Mutant(
        "a prune whose lock somebody else has by now ends",
        "runner/sessions/pruning.py",
        "if found is not None and not self._holds(found):",
        "if False:",
        ["tests/unit/runner/sessions/test_pruning.py"],
    ),
    Mutant(
        "a prune leaves the lock of somebody else where it is",
        "runner/sessions/pruning.py",
        "if found is not None and self._holds(found):",
        "if True:",
        ["tests/unit/runner/sessions/test_pruning.py"],
    ),
    Mutant(
        "a handle on a session that was removed does not wait for ever",
        "runner/view.py",
        "reading.require(self._store, self._id, before)",
        "pass",
        ["tests/unit/runner/sessions/test_pruning.py"],
    ),
    Mutant(
        "a session that ends while it is looked at is no orphan",
        "runner/view.py",
        "                if self._position == before:\n                    return True",
        "                return True",
        ("tests/integration/test_control.py",),
    ),
    Mutant(
        "a store is not closed under the call of another thread",
        "stores/sqlite_file.py",
        "self._take(of_calls=False)",
        "self._take(of_calls=True)",
        ("tests/unit/stores/test_sqlite.py",),
    ),
    Mutant(
        "a call that a close has left alone closes its own connection",
        "stores/sqlite_file.py",
        "if self._closed or self._local.stamp is not None:",
        "if self._local.stamp is not None:",
        ("tests/unit/stores/test_sqlite.py",),
    ),
    Mutant(
        "a part of a history that is removed is not taken for the whole",
        "stores/sqlite.py",
        "if goes_on and not commits:",
        "if False:",
        ["tests/unit/stores/test_sqlite.py"],
    ),
    Mutant(
        "a source that hangs does not hold the doctor",
        "diagnosis/names.py",
        "asking.join(patience)",
        "asking.join()",
        ["tests/unit/diagnosis/test_names.py"],
    ),
    Mutant(
        "a project's file says nothing of what is the user's",
        "configuration/config.py",
        "if origin.source is Source.PROJECT and name in USER_ONLY:",
        "if origin.source is Source.PROJECT and name in ():",
        ["tests/unit/configuration/test_config.py"],
    ),
    Mutant(
        "a project's store stays in its folder",
        "configuration/urls.py",
        "return path.resolve().is_relative_to(folder.resolve())",
        "return path.is_relative_to(folder)",
        ["tests/unit/configuration/test_config.py"],
    ),
    Mutant(
        "a project's artifacts stay in its folder",
        "configuration/config.py",
        "if origin.source is Source.PROJECT and (on_s3 or not urls.lies_in(Path(value), folder)):",
        "if False:",
        ["tests/unit/configuration/test_config.py"],
    ),
    Mutant(
        "no configuration from files that others may write",
        "configuration/files.py",
        "if about.st_mode & stat.S_IWOTH or",
        "if",
        ["tests/unit/configuration/test_files.py"],
    ),
    Mutant(
        "what may be a secret is not shown",
        "configuration/showing.py",
        "return HIDDEN_VALUE",
        "return text",
        ["tests/unit/configuration/test_showing.py"],
    ),
    Mutant(
        "changes of one configuration file wait for each other",
        "configuration/editing.py",
        "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "pass",
        ["tests/unit/configuration/test_editing.py"],
    ),
    Mutant(
        "an attempt that failed leaves nothing in the cache",
        "runner/attempts/work.py",
        "if self.output is None:\n            raise NoOutput\n        return self.output",
        "return self.output or Json.of(None)",
        ["tests/integration/test_job_cache.py"],
    ),
    Mutant(
        "the folder of a cached job counts",
        "runner/attempts/caching.py",
        '"folder": None if folder is None else str(folder),',
        '"folder": None,',
        ["tests/integration/test_job_cache.py"],
    ),
    Mutant(
        "what a cache raises fails no job that has its output",
        "runner/attempts/caching.py",
        "                if not computed:\n                    raise",
        "                raise",
        ["tests/unit/runner/attempts/test_caching.py"],
    ),
    Mutant(
        "a failure that passes leaves the entry of the cache",
        "runner/attempts/caching.py",
        'if not isinstance(error, StoreError | AwsError | OSError) or getattr(error, "lasting", False):',
        "if True:",
        ["tests/unit/runner/attempts/test_caching.py"],
    ),
    Mutant(
        "a full disk is not taken for an artifact that is gone",
        "runner/attempts/keeping.py",
        "if not is_passing or not patience.waits(AGAIN, until):",
        "if True:",
        ["tests/unit/runner/attempts/test_artifacts.py"],
    ),
    Mutant(
        "the claim of who computes",
        "performance/claims.py",
        "return None\n        return Claim(",
        "pass\n        return Claim(",
        ["tests/unit/performance/test_cache.py"],
    ),
    Mutant(
        "a claim that somebody else has by now is left to them",
        "performance/claims.py",
        'if document is None or document.value.get("by") != self._token:',
        "if document is None:",
        ["tests/unit/performance/test_cache.py"],
    ),
    Mutant(
        "the check of an artifact's content",
        "runner/attempts/artifacts.py",
        "if data is None or hashlib.sha256(data).hexdigest() != artifact.sha256:",
        "if data is None:",
        ["tests/unit/runner/attempts/test_artifacts.py"],
    ),
    Mutant(
        "an artifact is written under another name first",
        "runner/attempts/artifact_folder.py",
        "temporary.unlink(missing_ok=True)\n            raise",
        "temporary.replace(folder / digest.hexdigest())\n            raise",
        ["tests/unit/runner/attempts/test_artifacts.py"],
    ),
    Mutant(
        "an earlier version refuses artifacts",
        "stores/records.py",
        '_ARTIFACT = "@2"',
        '_ARTIFACT = ""',
        ["tests/integration/test_artifacts.py"],
    ),
    Mutant(
        "no path is made of a session's id that is none",
        "runner/attempts/artifacts.py",
        "if not SESSION_ID.fullmatch(session):",
        "if not session:",
        ["tests/unit/runner/attempts/test_artifacts.py"],
    ),
    Mutant(
        "fencing of the SQLite store",
        "stores/sqlite.py",
        "return Appended(conflict=found is None or found[0] != commit.id)",
        "return Appended()",
        ["tests/unit/stores/test_sqlite.py"],
    ),
    Mutant(
        "fencing of the memory store",
        "stores/memory.py",
        "return Appended(conflict=history[commit.position - 1].id != commit.id)",
        "return Appended()",
        ["tests/unit/stores/test_memory.py"],
    ),
    Mutant(
        "no gap in a history",
        "stores/sqlite.py",
        "WHERE ? = 1 OR EXISTS (SELECT 1 FROM commits WHERE history = ? AND position = ?)",
        "WHERE ? = 1 OR ? || ? IS NOT NULL",
        ["tests/unit/stores/test_sqlite.py"],
    ),
    Mutant(
        "a runner that lost its claim stands down",
        "runner/driving/driver.py",
        "        for live in flushed.lost:\n            self._stand_down(live)\n",
        "",
        ["tests/integration/test_driver_faults.py"],
    ),
    Mutant(
        "what a dead runner left is cleared once the claim is durable",
        "runner/attempts/attempts.py",
        "live.left.append(lost)",
        "self._starter.clear(live, lost)",
        ["tests/integration/test_control.py"],
    ),
    Mutant(
        "what a dead runner left is cleared",
        "runner/driving/driver.py",
        "            self._attempts.clear(live)\n",
        "            pass\n",
        ["tests/faults/test_processes.py", "tests/integration/test_control.py"],
    ),
    Mutant(
        "a wait that was interrupted holds nobody up",
        "concurrency/notice.py",
        "        self.call(wake)\n        try:",
        "        self._changing.acquire()\n        self._callbacks.add(wake)\n"
        "        self._changing.release()\n        try:",
        ["tests/faults/test_interrupts.py"],
    ),
    Mutant(
        "what was begun is undone where Ctrl-C comes",
        "stores/sqlite_schema.py",
        'connection.execute("ROLLBACK")',
        "pass",
        ["tests/unit/stores/test_sqlite.py"],
    ),
    Mutant(
        "BEGIN IMMEDIATE",
        "stores/sqlite_schema.py",
        'BEGIN = "BEGIN IMMEDIATE"',
        'BEGIN = "BEGIN"',
        ["tests/unit/stores/test_sqlite.py"],
    ),
    Mutant(
        "the id of a commit",
        "stores/sqlite.py",
        "return Appended(conflict=found is None or found[0] != commit.id)",
        "return Appended(conflict=True)",
        ["tests/unit/stores/test_sqlite.py"],
    ),
    Mutant(
        "the checksum of a commit",
        "stores/records.py",
        'if data["crc"] != f"{zlib.crc32(events.encode()):08x}":',
        "if False:",
        ["tests/unit/stores/test_records.py"],
    ),
    Mutant(
        "half a lease before a start",
        "runner/driving/commits.py",
        "return self._clock.monotonic() - live.confirmed_at < self._lease / 2",
        "return True",
        ["tests/unit/runner/driving/test_commits.py"],
    ),
    Mutant(
        "the recovery cap",
        "engine/resting.py",
        "MAX_DEATHS = 10",
        "MAX_DEATHS = 100",
        ["tests/unit/engine/test_recovering.py", "tests/integration/test_control.py"],
    ),
    Mutant(
        "deaths are counted",
        "engine/fold.py",
        "            self.deaths += 1\n",
        "            pass\n",
        ["tests/unit/engine/test_recovering.py"],
    ),
    Mutant(
        "an adopted orphan is the one that was seen",
        "runner/control.py",
        "if orphaned_at not in (None, live.position):",
        "if False:",
        ["tests/integration/test_control.py"],
    ),
    Mutant(
        "recovery asks first",
        "engine/under_way.py",
        "        self._to_recover = dict(self.running)\n",
        "",
        ["tests/unit/engine"],
    ),
    Mutant(
        "a lost answer is looked for before anything is submitted again",
        "runner/attempts/remotes.py",
        "            self._look(live, work)\n",
        "            self._submit_later(work)\n",
        ["tests/integration/test_remote_jobs.py"],
    ),
    Mutant(
        "an unknown job pauses its session",
        "engine/resting.py",
        "    if unknown:\n",
        "    if False:\n",
        ["tests/unit/engine"],
    ),
    Mutant(
        "a request is for one claim",
        "runner/driving/driver.py",
        "if live is None or request.epoch != live.epoch or live.machine.state.status.is_terminal:",
        "if live is None or live.machine.state.status.is_terminal:",
        ["tests/integration/test_driver_faults.py", "tests/integration/test_control.py"],
    ),
    Mutant(
        "what is not durable does not start",
        "runner/driving/commits.py",
        "[live for live in lives if not live.unsent]",
        "lives",
        ["tests/integration/test_driver_faults.py"],
    ),
    Mutant(
        "no place is taken while the store fails",
        "runner/driving/driver.py",
        "if live.unsent or live.error is not None or self._ending.has_begun:",
        "if self._ending.has_begun:",
        ["tests/integration/test_driver_faults.py"],
    ),
    Mutant(
        "a claim is released by a runner that closes",
        "runner/driving/driver.py",
        "                self._release(live)\n                self._commit([live])\n",
        "                self._commit([live])\n",
        ["tests/integration/test_runner.py", "tests/integration/test_driver_faults.py"],
    ),
    Mutant(
        "a release that failed is tried again",
        "runner/driving/driver.py",
        "        self._releases.turn(now)\n",
        "",
        ["tests/integration/test_driver_faults.py"],
    ),
    Mutant(
        "a place is given back",
        "runner/attempts/places.py",
        "        self._taken.discard(work)\n",
        "",
        ["tests/unit/runner/attempts/test_places.py"],
    ),
    Mutant(
        "the start time of a process",
        "local/identity.py",
        "return found == started and ",
        "return ",
        ["tests/unit/local/test_identity.py"],
    ),
    Mutant(
        "a keeper adopts what detaches itself",
        "local/descendants.py",
        "_PR_SET_CHILD_SUBREAPER = 36",
        "_PR_SET_CHILD_SUBREAPER = 37",  # Asks whether, and sets nothing.
        ["tests/faults/test_processes.py"],
    ),
    Mutant(
        "a keeper kills what is let go of",
        "local/keeper.py",
        "            if not self._told:\n                self._kill_at = 0.0\n",
        "",
        ["tests/unit/local/test_processes.py"],
    ),
    Mutant(
        "the end of a runner is seen, though its child holds its sockets",
        "local/fork_server.py",
        "            served.register(process, select.POLLIN)\n",
        "            pass\n",
        ["tests/faults/test_processes.py"],
    ),
    Mutant(
        "what ignores SIGTERM is killed",
        "local/keeper.py",
        "            kill_children(children_of(os.getpid()))\n",
        "            pass\n",
        ["tests/faults/test_processes.py"],
    ),
    Mutant(
        "a heartbeat is a sign of life",
        "runner/sessions/recovery.py",
        "if (position, beat) != (self._position, self._beat):",
        "if position != self._position:",
        ["tests/integration/test_control.py", "tests/integration/test_driver_faults.py"],
    ),
    Mutant(
        "an idempotency key is for one input",
        "runner/sessions/creation.py",
        "and (first.digest, first.parameters) == (mine.digest, mine.parameters)",
        "",
        ["tests/integration/test_runner.py"],
    ),
    Mutant(
        "what a service says shows no secret",
        "runner/attempts/remote_work.py",
        "                return Ended(failure=failure(error, self.redact))\n            return Junk",
        "                return Ended(failure=failure(error))\n            return Junk",
        ["tests/integration/test_remote_faults.py"],
    ),
    Mutant(
        "who has let go submits nothing",
        "runner/attempts/remote_work.py",
        "if self.cancelled.is_set() or self.interrupted:",
        "if self.cancelled.is_set():",
        ["tests/integration/test_remote_faults.py"],
    ),
    Mutant(
        "the last watch stands for all of a runner",
        "runner/sessions/orphans.py",
        "watch = sessions[-1][0]",
        "watch = sessions[0][0]",
        ["tests/unit/runner/sessions/test_orphans.py"],
    ),
    Mutant(
        "what was held up is looked at again",
        "runner/driving/driver.py",
        "if live.failing_since is None and self.is_driving(live):",
        "if False:",
        ["tests/unit/runner/driving/test_driver.py"],
    ),
    Mutant(
        "redaction of what a process prints",
        "logging/channel.py",
        "            data = self._stream.feed(data, ends=ends)",
        "            self._stream.feed(data, ends=ends)",
        ("tests/unit/logging/test_channel.py", "tests/e2e/test_logs.py"),
    ),
    Mutant(
        "records behind one that is damaged",
        "logging/channel.py",
        "            if record is None:\n                continue",
        "            if record is None:\n                return data",
        ("tests/unit/logging/test_channel.py",),
    ),
    Mutant(
        "a fault in one log is no other's",
        "logging/channel.py",
        "            except Exception as error:  # A fault of ours must",
        "            except RecursionError as error:  # A fault of ours must",
        ("tests/unit/logging/test_collector.py",),
    ),
    Mutant(
        "a record that is nested too deeply ends no log",
        "logging/channel.py",
        "        except RecursionError:  # Nested",
        "        except KeyError:  # Nested",
        ("tests/unit/logging/test_channel.py",),
    ),
    Mutant(
        "what a fault loses is counted",
        "logging/channel.py",
        "                self._lose(lines, self._fault)",
        "                pass",
        ("tests/unit/logging/test_collector.py",),
    ),
    Mutant(
        "a pipe that can't be read ends no other's reading",
        "logging/collector.py",
        "    except Exception as error:  # What can't even",
        "    except RecursionError as error:  # What can't even",
        ("tests/unit/logging/test_collector.py",),
    ),
    Mutant(
        "a log's thread that was not started",
        "concurrency/threads.py",
        "        start(made)\n        if made.is_alive():\n            self.thread = made",
        "        self.thread = made\n        start(made)",
        ("tests/unit/concurrency/test_threads.py",),
    ),
    Mutant(
        "a log's thread that was started by one who was interrupted",
        "concurrency/threads.py",
        "        self.thread = here\n",
        "",
        ("tests/unit/concurrency/test_threads.py",),
    ),
    Mutant(
        "a log that never was is not taken for one that is gone",
        "runner/sessions/session_logs.py",
        "if _is_command(job) and _had_process(states[job.id])]",
        "if _is_command(job) and states[job.id].attempts]",
        ("tests/unit/cli/test_logs_commands.py",),
    ),
    Mutant(
        "of a secret source that is not bunsui's nothing is told but the type of the error",
        "runner/attempts/secrets.py",
        "        if type(source) is EnvironmentSource:",
        "        if isinstance(source, EnvironmentSource):",
        ("tests/unit/runner/attempts/test_secrets.py",),
    ),
    Mutant(
        "who follows the log of what nobody drives is told",
        "runner/sessions/session_logs.py",
        "                idle()",
        "                pass",
        ("tests/e2e/test_logs.py",),
    ),
    Mutant(
        "short secrets in lines that end in CRLF",
        "logging/channel.py",
        'if "\\r" in text else lines',
        "if False else lines",
        ("tests/unit/logging/test_channel.py",),
    ),
    Mutant(
        "short secrets in the line that an error quotes",
        "logging/channel.py",
        """            data = _without_short(data, self._redactor)
        last = data.rstrip()
""",
        """            data, last = _without_short(data, self._redactor), data.rstrip()
""",
        ("tests/unit/logging/test_channel.py",),
    ),
    Mutant(
        "redaction of what is logged",
        "logging/attempt.py",
        "if self._redactor is not None:",
        "if False:",
        ("tests/unit/runner/attempts/test_logs.py",),
    ),
    Mutant(
        "redaction across pieces",
        "local/finding.py",
        "            settled = self._settled(data, settled)\n",
        "            settled = len(data)\n",
        ("tests/unit/local/test_finding.py",),
    ),
    Mutant(
        "the limit of a log",
        "logging/log_store.py",
        "        if len(data) <= room:",
        "        if True:",
        ("tests/unit/logging/test_log_store.py",),
    ),
    Mutant(
        "what a log on a full disk lacks stands in it",
        "logging/log_store.py",
        "            if self._lost:\n                lost",
        "            if False:\n                lost",
        ("tests/unit/logging/test_log_store.py",),
    ),
    Mutant(
        "what gave way to the notice is counted",
        "logging/last_notice.py",
        "            lost += _records_in(data[earlier:start])",
        "            pass",
        ("tests/unit/logging/test_log_store.py",),
    ),
    Mutant(
        "links in the place of a log",
        "logging/regular.py",
        'for name in ("O_NOFOLLOW", ',
        "for name in (",
        ("tests/unit/logging/test_log_store.py",),
    ),
    Mutant(
        "the end of a torn line",
        "logging/log_store.py",
        'b"\\n" + data if self._torn else data',
        "data",
        ("tests/unit/logging/test_log_store.py",),
    ),
    Mutant(
        "what is in the pipes when a process ends",
        "logging/attempt.py",
        "            os.close(descriptor)\n        self._drain()",
        "            os.close(descriptor)",
        ("tests/unit/logging/test_channel.py",),
    ),
    Mutant(
        "what a full log lacks while a child holds it open",
        "logging/attempt.py",
        "self._use(lambda log: log.settle())",
        "pass",
        ("tests/unit/logging/test_channel.py",),
    ),
    Mutant(
        "a log is looked at anew once its end was written over",
        "logging/log_store.py",
        "                self._shut()  # It",
        "                pass  # It",
        ("tests/unit/logging/test_log_store.py",),
    ),
    Mutant(
        "what a terminal must not get from a log",
        "cli/log_text.py",
        '    lines += [f"    {printable(line)}" for line in rest]',
        '    lines += [f"    {line}" for line in rest]',
        ("tests/unit/cli/test_logs_commands.py",),
    ),
    Mutant(
        "lines that JSON writes otherwise are not ruled out",
        "logging/signs.py",
        "if tight is not None and compiled(self.unless).search(block) is not None:",
        "if False:",
        ("tests/unit/logging/test_filters.py",),
    ),
    Mutant(
        "half a line is no record while a log is followed",
        "logging/reading.py",
        "self.records(ends=resting)",
        "self.records()",
        ("tests/unit/logging/test_reading.py",),
    ),
    Mutant(
        "formulas in CSV",
        "cli/log_text.py",
        '    return f"\'{shown}" if shown.startswith(_FORMULA) else shown',
        "    return shown",
        ("tests/unit/cli/test_logs_commands.py",),
    ),
    Mutant(
        "the last look of who follows a log",
        "logging/reading.py",
        "            if resting and not",
        "            if rests() and not",
        ("tests/unit/logging/test_reading.py",),
    ),
    Mutant(
        "a command that is proposed shows no password of a store",
        "cli/stores.py",
        "shown(store) if path is None",
        "store if path is None",
        ("tests/unit/cli/test_stores.py",),
    ),
    Mutant(
        "what is no file is not replaced by one",
        "cli/saving.py",
        "if mode is not None and not stat.S_ISREG(mode):",
        "if False:",
        ("tests/unit/cli/test_logs_commands.py",),
    ),
    Mutant(
        "an output that is lost is told",
        "cli/streams.py",
        "                self.lost = error",
        "                pass",
        ("tests/e2e/test_leaving.py",),
    ),
    Mutant(
        "a project's link does not choose where a file is made",
        "configuration/editing.py",
        "if source is Source.PROJECT and path.is_symlink() and not path.exists():",
        "if False:",
        ("tests/unit/cli/test_config_commands.py",),
    ),
    Mutant(
        "an argument that is not UTF-8 is no failure of the store",
        "runner/sessions/reading.py",
        "if encodable(str(session)) else ()",
        "if True else ()",
        ("tests/unit/cli/test_session_commands.py",),
    ),
)


def main(names: Sequence[str]) -> int:
    """Runs the mutants whose names hold one of the texts; without a text, all of them."""
    chosen = [mutant for mutant in MUTANTS if not names or any(name in mutant.name for name in names)]
    survivors: list[str] = []
    passed: set[tuple[str, ...]] = set()
    for mutant in chosen:
        if mutant.tests not in passed:
            if failure := _failure(ROOT / "src", mutant.tests, stop=False):
                print(f"the source itself fails {' '.join(mutant.tests)}:\n{failure}")
                return 1
            passed.add(mutant.tests)
        noticed = _is_noticed(mutant)
        print(f"{'noticed ' if noticed else 'SURVIVED'}  {mutant.name}", flush=True)
        if not noticed:
            survivors.append(mutant.name)
    print(f"{len(chosen)} mutants, {len(survivors)} survived")
    return 1 if survivors else 0


def _is_noticed(mutant: Mutant) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "src"
        shutil.copytree(ROOT / "src", source, ignore=shutil.ignore_patterns("__pycache__"))
        file = source / "bunsui" / mutant.file
        text = file.read_text(encoding="utf-8")
        if text.count(mutant.old) != 1:
            raise SystemExit(
                f"mutant {mutant.name!r}: its text is {text.count(mutant.old)} times in {mutant.file}"
            )
        file.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
        return bool(_failure(source, mutant.tests, stop=True))


def _failure(source: Path, tests: Sequence[str], *, stop: bool) -> str:
    """What pytest says of tests that fail on a source; empty where they pass."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, (str(source), os.environ.get("PYTHONPATH")))),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *tests]
    try:
        done = subprocess.run(
            [*command, *(["-x"] if stop else [])],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"they took longer than {LIMIT} seconds"
    if done.returncode not in (0, 1):
        raise SystemExit(done.stdout + done.stderr)  # It did not test anything.
    return done.stdout if done.returncode else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
