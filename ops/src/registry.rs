//! The registry: operators, kernels, iterators, reductions and update rules by name, all entered by [`Registry::install`].

use crate::data_iter::DataIterKind;
use crate::device::DeviceKind;
use crate::kernel::{Kernel, KernelCall, KernelFactory};
use crate::layout::{Layout, LayoutHook, Relaid};
use crate::operator::Operator;
use crate::plugin::Library;
use crate::reduction::Reduction;
use crate::update_rule::UpdateRule;
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// What a crate or a plug-in brings.
#[derive(Default)]
pub struct Provider {
    /// Who it is, for errors and lists.
    pub name: String,
    /// Among two of one name (kernels and layouts: of one operator, for one device kind) the one of higher preference is used. Equal
    /// preferences are an error.
    pub preference: i32,
    /// The operators that it defines.
    pub operators: Vec<Arc<dyn Operator>>,
    /// The kernels that it has, by operator name.
    pub kernels: Vec<(String, DeviceKind, KernelFactory)>,
    /// The layouts in which it wants nodes, by operator name.
    pub layouts: Vec<(String, DeviceKind, LayoutHook)>,
    /// The kinds of data iterators.
    pub iterators: Vec<Arc<dyn DataIterKind>>,
    /// The kvstore reductions.
    pub reductions: Vec<Arc<dyn Reduction>>,
    /// The optimizers' update rules.
    pub update_rules: Vec<Arc<UpdateRule>>,
}

impl Provider {
    /// An empty provider of preference 0.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Provider { name: name.to_string(), ..Provider::default() }
    }

    /// Adds an operator.
    #[must_use]
    pub fn operator(mut self, op: impl Operator + 'static) -> Self {
        self.operators.push(Arc::new(op));
        self
    }

    /// Adds a kernel.
    #[must_use]
    pub fn kernel<F>(mut self, op: &str, kind: DeviceKind, factory: F) -> Self
    where
        F: Fn(&KernelCall<'_>) -> Result<Box<dyn Kernel>> + Send + Sync + 'static,
    {
        self.kernels.push((op.to_string(), kind, Arc::new(factory)));
        self
    }

    /// Adds a wish: the layout in which it wants nodes of an operator on a kind of devices.
    #[must_use]
    pub fn layout<F>(mut self, op: &str, kind: DeviceKind, hook: F) -> Self
    where
        F: Fn(&KernelCall<'_>) -> Result<Option<Layout>> + Send + Sync + 'static,
    {
        self.layouts.push((op.to_string(), kind, Arc::new(hook)));
        self
    }

    /// Adds a kind of data iterators.
    #[must_use]
    pub fn iterator(mut self, kind: impl DataIterKind + 'static) -> Self {
        self.iterators.push(Arc::new(kind));
        self
    }

    /// Adds a kvstore reduction.
    #[must_use]
    pub fn reduction(mut self, reduction: impl Reduction + 'static) -> Self {
        self.reductions.push(Arc::new(reduction));
        self
    }

    /// Adds an optimizer's update rule.
    #[must_use]
    pub fn update_rule(mut self, rule: UpdateRule) -> Self {
        self.update_rules.push(Arc::new(rule));
        self
    }
}

#[derive(Clone)]
struct Slot<T> {
    provider: String,
    preference: i32,
    value: T,
}

/// Things of one sort by name.
struct Shelf<T: ?Sized>(BTreeMap<String, Slot<Arc<T>>>);

impl<T: ?Sized> Default for Shelf<T> {
    fn default() -> Self {
        Shelf(BTreeMap::new())
    }
}

impl<T: ?Sized> Shelf<T> {
    /// The first of these names that is there already with this preference, or is named twice, and who brought it.
    fn clash<'n>(
        &self,
        provider: &str,
        preference: i32,
        names: impl Iterator<Item = &'n str>,
    ) -> Option<(&'n str, String)> {
        let mut brought = BTreeSet::new();
        for name in names {
            let there = self.0.get(name).filter(|s| s.preference == preference).map(|s| s.provider.clone());
            if let Some(by) = there.or((!brought.insert(name)).then(|| provider.to_string())) {
                return Some((name, by));
            }
        }
        None
    }

    fn find(&self, what: &str, name: &str) -> Result<&Arc<T>> {
        self.0.get(name).map(|slot| &slot.value).ok_or_else(|| {
            let known: Vec<_> = self.0.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                "there are none".to_string()
            } else {
                format!("wanted one of {}", known.join(", "))
            };
            Error::Registry(format!("nobody provides {what} \"{name}\": {known}, or a plug-in that brings it"))
        })
    }

    fn all(&self) -> impl Iterator<Item = (&Arc<T>, &str)> {
        self.0.values().map(|slot| (&slot.value, slot.provider.as_str()))
    }
}

/// All that providers have brought, by name.
#[derive(Default)]
pub struct Registry {
    operators: BTreeMap<String, Slot<Arc<dyn Operator>>>,
    aliases: BTreeMap<String, String>,
    kernels: BTreeMap<(String, DeviceKind), Slot<KernelFactory>>,
    layouts: BTreeMap<(String, DeviceKind), Slot<LayoutHook>>,
    iterators: Shelf<dyn DataIterKind>,
    reductions: Shelf<dyn Reduction>,
    update_rules: Shelf<UpdateRule>,
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Registry::default()
    }

    /// Enters all that the provider brings, or nothing.
    ///
    /// # Errors
    /// [`Error::Registry`] when something of the same sort and name is there with the same preference, or an operator or alias
    /// of the same name means another operator.
    pub fn install(&mut self, provider: Provider) -> Result<()> {
        let Provider { name, preference, operators, kernels, layouts, iterators, reductions, update_rules } = provider;
        let refuse = |what: String, by: &str| {
            Err(Error::Registry(format!("provider \"{name}\" brings {what}, which \"{by}\" has brought already")))
        };
        let mut brought = BTreeSet::new();
        for op in &operators {
            let clash = self.operators.get(op.name()).filter(|s| s.preference == preference);
            if let Some(slot) = clash {
                return refuse(format!("operator {} with preference {preference}", op.name()), &slot.provider);
            }
            for word in std::iter::once(op.name()).chain(op.aliases().iter().copied()) {
                let other = self.meaning(word).filter(|slot| slot.value.name() != op.name());
                let by = other.map(|slot| &slot.provider).or(Some(&name).filter(|_| !brought.insert(word)));
                if let Some(by) = by {
                    return refuse(format!("the name {word} for operator {}", op.name()), by);
                }
            }
        }
        if let Some((op, kind, by)) = clash(&self.kernels, &name, preference, &kernels) {
            return refuse(format!("a {kind} kernel of {op} with preference {preference}"), by);
        }
        if let Some((op, kind, by)) = clash(&self.layouts, &name, preference, &layouts) {
            return refuse(format!("a {kind} layout of {op} with preference {preference}"), by);
        }
        let iterator = self.iterators.clash(&name, preference, iterators.iter().map(|i| i.name()));
        let reduction = self.reductions.clash(&name, preference, reductions.iter().map(|r| r.name()));
        let rule = self.update_rules.clash(&name, preference, update_rules.iter().map(|u| u.name.as_str()));
        let clashes = [("iterator", iterator), ("reduction", reduction), ("update rule", rule)];
        if let Some((what, (word, by))) = clashes.into_iter().find_map(|(what, clash)| Some((what, clash?))) {
            return refuse(format!("{what} {word} with preference {preference}"), &by);
        }
        for op in operators {
            for alias in op.aliases() {
                self.aliases.insert((*alias).to_string(), op.name().to_string());
            }
            enter(&mut self.operators, op.name().to_string(), Slot { provider: name.clone(), preference, value: op });
        }
        for (op, kind, factory) in kernels {
            enter(&mut self.kernels, (op, kind), Slot { provider: name.clone(), preference, value: factory });
        }
        for (op, kind, hook) in layouts {
            enter(&mut self.layouts, (op, kind), Slot { provider: name.clone(), preference, value: hook });
        }
        for value in iterators {
            let slot = Slot { provider: name.clone(), preference, value };
            enter(&mut self.iterators.0, slot.value.name().to_string(), slot);
        }
        for value in reductions {
            let slot = Slot { provider: name.clone(), preference, value };
            enter(&mut self.reductions.0, slot.value.name().to_string(), slot);
        }
        for value in update_rules {
            let slot = Slot { provider: name.clone(), preference, value };
            enter(&mut self.update_rules.0, slot.value.name.clone(), slot);
        }
        Ok(())
    }

    /// Loads a plug-in and enters all that it brings.
    ///
    /// # Errors
    /// As [`Library::open`] and [`install`](Self::install).
    pub fn load(&mut self, path: impl AsRef<Path>) -> Result<Library> {
        let library = Library::open(path.as_ref())?;
        self.install(library.provider()).map_err(|e| e.at(library.to_string()))?;
        Ok(library)
    }

    /// The kind of data iterators of this name.
    ///
    /// # Errors
    /// [`Error::Registry`] with the names that there are.
    pub fn iterator(&self, name: &str) -> Result<&Arc<dyn DataIterKind>> {
        self.iterators.find("iterator", name)
    }

    /// All kinds of data iterators by name, each with who brought it.
    pub fn iterators(&self) -> impl Iterator<Item = (&Arc<dyn DataIterKind>, &str)> {
        self.iterators.all()
    }

    /// The kvstore reduction of this name.
    ///
    /// # Errors
    /// [`Error::Registry`] with the names that there are.
    pub fn reduction(&self, name: &str) -> Result<&Arc<dyn Reduction>> {
        self.reductions.find("reduction", name)
    }

    /// All kvstore reductions by name, each with who brought it.
    pub fn reductions(&self) -> impl Iterator<Item = (&Arc<dyn Reduction>, &str)> {
        self.reductions.all()
    }

    /// The update rule of this name.
    ///
    /// # Errors
    /// [`Error::Registry`] with the names that there are.
    pub fn update_rule(&self, name: &str) -> Result<&Arc<UpdateRule>> {
        self.update_rules.find("update rule", name)
    }

    /// All update rules by name, each with who brought it.
    pub fn update_rules(&self) -> impl Iterator<Item = (&Arc<UpdateRule>, &str)> {
        self.update_rules.all()
    }

    /// The operator that a name or alias stands for, and who brought it.
    fn meaning(&self, word: &str) -> Option<&Slot<Arc<dyn Operator>>> {
        self.operators.get(self.aliases.get(word).map_or(word, String::as_str))
    }

    /// The operator of this name or alias.
    ///
    /// # Errors
    /// [`Error::Registry`] with the nearest names when there is none.
    pub fn operator(&self, name: &str) -> Result<&Arc<dyn Operator>> {
        self.meaning(name).map(|s| &s.value).ok_or_else(|| {
            let mut near: Vec<_> = self.operators.keys().filter(|n| !n.starts_with('_')).collect();
            near.sort_by_key(|n| distance(&n.to_lowercase(), &name.to_lowercase()));
            // Names that have little in common with it would lead astray.
            let close = |n: &&String| distance(&n.to_lowercase(), &name.to_lowercase()) <= (name.len() / 3).max(1);
            let near: Vec<_> = near.into_iter().filter(close).take(3).map(String::as_str).collect();
            let near = match near[..] {
                [] => "if a plug-in brings it, load that with --plugin FILE or VARFLOW_PLUGIN_PATH".to_string(),
                _ => format!("the nearest names are {}", near.join(", ")),
            };
            Error::Registry(format!("nobody provides operator \"{name}\"; {near}"))
        })
    }

    /// Whether an operator has this name or alias.
    #[must_use]
    pub fn has_operator(&self, name: &str) -> bool {
        self.meaning(name).is_some()
    }

    /// Who brought the operator.
    #[must_use]
    pub fn provider_of(&self, operator: &str) -> Option<&str> {
        self.operators.get(operator).map(|s| s.provider.as_str())
    }

    /// All operators, by name.
    pub fn operators(&self) -> impl Iterator<Item = &Arc<dyn Operator>> {
        self.operators.values().map(|s| &s.value)
    }

    /// The device kinds for which there is a kernel of the operator, with who brought it.
    pub fn kernels_of<'a>(&'a self, operator: &'a str) -> impl Iterator<Item = (DeviceKind, &'a str)> {
        self.kernels.iter().filter(move |((n, _), _)| n == operator).map(|((_, k), s)| (*k, s.provider.as_str()))
    }

    /// Makes the kernel for one use of an operator.
    ///
    /// # Errors
    /// [`Error::Registry`] when nobody has one for the device kind; what the factory says.
    pub fn kernel(&self, kind: DeviceKind, call: &KernelCall<'_>) -> Result<Box<dyn Kernel>> {
        let name = call.op.name();
        let place = || format!("{name} \"{}\"", call.node);
        let slot = self
            .kernels
            .get(&(name.to_string(), kind))
            .ok_or_else(|| Error::Registry(format!("nobody has a {kind} kernel of it")).at(place()))?;
        (slot.value)(call).map_err(|e| e.at(place()))
    }

    /// Whether anybody wants a layout of any operator for the device kind.
    #[must_use]
    pub fn has_layouts(&self, kind: DeviceKind) -> bool {
        self.layouts.keys().any(|(_, of)| *of == kind)
    }

    /// The layout in which a node is wanted for the device kind, with all that it means for the node; `None`: as it is. Where a
    /// kernel of higher preference than the wish is used, the wish does not count.
    ///
    /// # Errors
    /// What the hook says; a layout that does not fit the node, as [`Relaid::new`]; an operator that nobody provides.
    pub fn layout(&self, kind: DeviceKind, call: &KernelCall<'_>) -> Result<Option<Relaid>> {
        let key = (call.op.name().to_string(), kind);
        let Some(slot) = self.layouts.get(&key) else { return Ok(None) };
        if self.kernels.get(&key).is_some_and(|kernel| kernel.preference > slot.preference) {
            return Ok(None);
        }
        let relaid = || {
            let Some(layout) = (slot.value)(call)? else { return Ok(None) };
            let op = self.operator(layout.operator.as_deref().unwrap_or(call.op.name()))?.clone();
            Relaid::new(op, layout, call).map(Some)
        };
        let whose = || format!("the layout that provider \"{}\" wants", slot.provider);
        relaid().map_err(|e: Error| e.at(whose()).at(format!("{} \"{}\"", call.op.name(), call.node)))
    }
}

/// The first of these, by operator and device kind, that is there already with this preference, or is named twice, and who brought it.
fn clash<'a, T>(
    there: &'a BTreeMap<(String, DeviceKind), Slot<T>>,
    provider: &'a str,
    preference: i32,
    brings: &'a [(String, DeviceKind, T)],
) -> Option<(&'a str, DeviceKind, &'a str)> {
    let mut brought = BTreeSet::new();
    brings.iter().find_map(|(op, kind, _)| {
        let clash = there.get(&(op.clone(), *kind)).filter(|s| s.preference == preference);
        let twice = (!brought.insert((op, *kind))).then_some(provider);
        clash.map(|slot| slot.provider.as_str()).or(twice).map(|by| (op.as_str(), *kind, by))
    })
}

fn enter<K: Ord, T>(map: &mut BTreeMap<K, Slot<T>>, key: K, slot: Slot<T>) {
    if map.get(&key).is_none_or(|old| old.preference < slot.preference) {
        map.insert(key, slot);
    }
}

/// Levenshtein's edit distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, cb) in b.iter().enumerate() {
            let best = (row[j] + 1).min(row[j + 1] + 1).min(diagonal + usize::from(ca != *cb));
            diagonal = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[b.len()]
}
