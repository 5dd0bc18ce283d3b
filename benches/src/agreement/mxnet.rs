//! MXNet's side of a case: one Python process for many, fed with symbol JSON and `.params` files.

use super::array::NamedArray;
use super::case::{Case, Program};
use super::sketch::Sketch;
use crate::paths::{self, TemporaryFolder};
use crate::{Result, peers};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;
use varflow::ops::DType;
use varflow::symbol::{Graph, json as symbol_json, params};

const SCRIPT: (&str, &str) = ("agreement_mxnet.py", include_str!("../../peers/agreement_mxnet.py"));
/// How long one answer may take: that of the largest network in float64 takes a minute.
const LIMIT: Duration = Duration::from_secs(600);

/// MXNet, started when it is asked first, and again after it has crashed.
pub struct Mxnet {
    folder: TemporaryFolder,
    /// One for float32, one for float64.
    processes: [Option<Process>; 2],
    version: String,
}

struct Process {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Mxnet {
    /// MXNet in the peers' folder.
    ///
    /// # Errors
    /// When it is not installed: how to install it.
    pub fn new() -> Result<Mxnet> {
        peers::MXNET.check()?;
        Ok(Mxnet { folder: TemporaryFolder::new()?, processes: [None, None], version: String::new() })
    }

    /// Runs a case in one floating-point type.
    ///
    /// # Errors
    /// What MXNet says, or that it ended; a symbol in which it finds other names than varflow.
    pub fn run(&mut self, case: &Case, float: DType) -> Result<Vec<Sketch>> {
        let path = |name: &str| self.folder.path().join(name);
        let (inputs_path, result, symbol) = (path("inputs.params"), path("result.params"), path("symbol.json"));
        let inputs = case.in_float(float)?;
        let named = |kind: &str, (n, a): NamedArray| (format!("{kind}:{n}"), a);
        let mut arrays: Vec<_> = inputs.arguments.into_iter().map(|a| named("arg", a)).collect();
        arrays.extend(inputs.auxiliaries.into_iter().map(|a| named("aux", a)));
        arrays.extend(inputs.head_grads.into_iter().enumerate().map(|(i, a)| named("head", (i.to_string(), a))));
        params::save(&inputs_path, &arrays)?;
        drop(arrays);
        let mut question = json!({"inputs": inputs_path, "result": result});
        match &case.program {
            Program::Graph(graph) => {
                symbol_json::save(&symbol, graph)?;
                question["symbol"] = json!(symbol);
            }
            Program::Update(op, attrs) => {
                question["update"] = json!(op);
                question["attrs"] = json!(attrs);
            }
        }
        let answer = self.ask(&question, float)?;
        if let Some(error) = answer["error"].as_str() {
            return Err(error.into());
        }
        if let Program::Graph(graph) = &case.program {
            check_names(graph, &answer["names"])?;
        }
        let tensors = params::load(&result)?.iter().map(Sketch::new).collect::<Result<_>>()?;
        fs::remove_file(&result)?;
        Ok(tensors)
    }

    /// MXNet's version, once it has been asked.
    pub fn version(&self) -> &str {
        &self.version
    }

    fn ask(&mut self, question: &Value, float: DType) -> Result<Value> {
        let slot = &mut self.processes[usize::from(float == DType::F64)];
        let mut process = match slot.take() {
            Some(process) => process,
            None => {
                let (process, version) = Process::start(float)?;
                self.version = version;
                process
            }
        };
        // A process that fails to answer is not asked again.
        let answer = process.ask(question)?;
        *slot = Some(process);
        Ok(answer)
    }
}

impl Process {
    fn start(float: DType) -> Result<(Process, String)> {
        let script = paths::unpacked("agreement", &[SCRIPT], "")?.join(SCRIPT.0);
        let mut command = Command::new(peers::MXNET.python()?);
        command.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // oneDNN, which has no float64, keeps some operators from being computed at all.
        if float == DType::F64 {
            command.env("MXNET_MKLDNN_ENABLED", "0");
        }
        let mut child = command.spawn().map_err(|e| format!("cannot start MXNet's Python: {e}"))?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("the child has no input and output".into());
        };
        let (send, lines) = mpsc::channel();
        thread::spawn(move || {
            BufReader::new(output).lines().map_while(std::io::Result::ok).try_for_each(|l| send.send(l))
        });
        let mut process = Process { child, input, lines };
        let version = process.answer()?["version"].as_str().unwrap_or("unknown").to_string();
        Ok((process, version))
    }

    fn ask(&mut self, question: &Value) -> Result<Value> {
        writeln!(self.input, "{question}").map_err(|e| format!("MXNet takes no question: {e}"))?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Value> {
        loop {
            match self.lines.recv_timeout(LIMIT) {
                // What MXNet prints of its own is passed over.
                Ok(line) => {
                    if let Ok(answer @ Value::Object(_)) = serde_json::from_str(&line) {
                        return Ok(answer);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(format!("MXNet took more than {} s", LIMIT.as_secs()).into());
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(format!("MXNet ended: {}", self.child.wait()?).into());
                }
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Checks that MXNet finds in a symbol what varflow wrote.
fn check_names(graph: &Graph, names: &Value) -> Result<()> {
    let (arguments, auxiliaries, outputs) = (graph.list_arguments(), graph.list_auxiliaries(), graph.list_outputs());
    for (what, ours) in
        [("arguments", json!(arguments)), ("auxiliaries", json!(auxiliaries)), ("outputs", json!(outputs))]
    {
        let theirs = &names[what];
        if *theirs != ours {
            return Err(format!("MXNet lists the {what} {theirs}, varflow {ours}").into());
        }
    }
    Ok(())
}
