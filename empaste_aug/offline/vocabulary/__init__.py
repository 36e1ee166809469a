"""The words by which captions name objects: classes, synonyms, kinds, plurals, distractors.

The folder ``data`` has one YAML file per supercategory of COCO: ``distractors``, those of the
paper's Table 6, and ``classes``, each with the keys of `ClassWords`. A word is written as
`parse_noun` reads it: ``dog``, ``passerby/passersby``, ``/people``, ``luggage/``.

What the tables hold, by these rules:

- synonyms and kinds, not what is wider (animal, vehicle, furniture, food) and not parts (hand,
  wheel). A word that several classes share (board, bag, glass) stands under each.
- a word that names a target in one sense and something else in another is listed, and phrases
  in which it means something else stand under ``keep``; a word that hardly ever names one in
  captions (watch, brush) is not listed.
- a word that is a verb too (train, cook, board) is listed, and named under ``verbs``; it is left
  alone where it clearly is one. Words made from verbs (skiing, surfing) are not listed.
- ``keep`` has no phrase whose first word only says where or what for (bus stop, dog house): an
  image made from it would show the object.
"""

from empaste_aug.offline.vocabulary.nouns import Noun
from empaste_aug.offline.vocabulary.tables import ClassWords, Vocabulary

__all__ = ["ClassWords", "Noun", "Vocabulary"]
